/// Products of matrices on the calling thread: the worker pool splits the work.
public enum GEMM {
    /// Rows of a band of a large product, at most: enough for the kernels' speed.
    public static let bandRows = kernels.panels(.float32)?.bandRows ?? 512

    /// A row-major matrix as a factor, or its transpose.
    public struct Factor {
        let start: UnsafePointer<Float>
        let stride: Int
        let isTransposed: Bool

        /// `stride` is the distance between the rows of the matrix as stored.
        public init(_ start: UnsafePointer<Float>, stride: Int, transposed: Bool = false) {
            self.start = start
            self.stride = stride
            isTransposed = transposed
        }

        /// The address of an element of the factor.
        @inline(__always)
        func address(row: Int, column: Int) -> UnsafePointer<Float> {
            start + (isTransposed ? column * stride + row : row * stride + column)
        }
    }

    /// C ← A · B, or C + A · B if `accumulate`: A is [m, k], B is [k, n]; C is [m, n], its rows `stride` apart, and must not
    /// overlap A or B. C is read only to be added to, and nothing between its rows is touched. `epilogue` is then applied to
    /// each element once.
    ///
    /// Factors are rounded to `precision` first. The same call gives the same bits, wherever the matrices lie. With Strata's
    /// kernels an element's bits depend on its row of A, its column of B and its value before alone: a product cut into bands in
    /// any way has the same, with any of them. NaN and infinity propagate as IEEE 754 says.
    public static func multiply(
        using kernels: Kernels = kernels, precision: Precision = .float32, m: Int, n: Int, k: Int, _ a: Factor, _ b: Factor,
        accumulate: Bool = false, epilogue: Epilogue = .none, into c: UnsafeMutablePointer<Float>, stride: Int
    ) {
        guard m > 0, n > 0 else { return }
        guard let panels = kernels.panels(precision) else {
            precondition(kernels == .openBLAS && precision == .float32, "\(kernels) can't compute in \(precision.rawValue)")
            OpenBLAS.multiply(m: m, n: n, k: k, a, b, accumulate: accumulate, into: c, stride: stride)
            epilogue.apply(rows: m, columns: n, to: c, stride: stride)
            return
        }
        panels.multiply(m: m, n: n, k: k, a, b, accumulate: accumulate, epilogue: epilogue, into: c, stride: stride)
    }
}
