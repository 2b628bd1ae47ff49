import CKernels

/// Products of matrices on the calling thread: the worker pool splits the work.
public enum GEMM {
    /// What computes a product.
    public enum Kernels: Sendable, CustomStringConvertible {
        /// Strata's own, for processors with AVX-512F.
        case packedPanels
        /// OpenBLAS's, whichever it has chosen for the processor.
        case openBLAS

        public var description: String {
            switch self {
            case .packedPanels: "Strata's AVX-512 kernels"
            case .openBLAS: "OpenBLAS's kernels for \(OpenBLAS.coreName)"
            }
        }
    }

    /// What the program uses on this processor.
    public static let kernels: Kernels = CKernels_supportsAVX512() ? .packedPanels : .openBLAS

    /// Rows of a band of a large product, at most: enough for the kernels' speed, and no more than they take in one block.
    public static let bandRows = kernels == .packedPanels ? PackedPanels.blockRows : 512

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
    /// The same call gives the same bits, wherever the matrices lie. With Strata's kernels an element's bits depend on its row
    /// of A, its column of B and its value before alone: a product cut into bands in any way has the same. NaN and infinity
    /// propagate as IEEE 754 says.
    public static func multiply(
        using kernels: Kernels = kernels, m: Int, n: Int, k: Int, _ a: Factor, _ b: Factor, accumulate: Bool = false,
        epilogue: Epilogue = .none, into c: UnsafeMutablePointer<Float>, stride: Int
    ) {
        guard m > 0, n > 0 else { return }
        switch kernels {
        case .packedPanels:
            PackedPanels.multiply(
                m: m, n: n, k: k, a, b, accumulate: accumulate, epilogue: epilogue, into: c, stride: stride)
        case .openBLAS:
            OpenBLAS.multiply(m: m, n: n, k: k, a, b, accumulate: accumulate, into: c, stride: stride)
            epilogue.apply(rows: m, columns: n, to: c, stride: stride)
        }
    }
}
