extension GEMM {
    /// What is done to the elements of a product when their sums are complete, while they are in the cache. Tails of rows go
    /// through the same arithmetic as their bodies.
    public enum Epilogue {
        case none
        /// c + bias[column].
        case bias(UnsafePointer<Float>)
        /// max(0, c + bias[column]), and 0 for NaN.
        case rectifiedBias(UnsafePointer<Float>)
        /// c where the activation at the same place is positive, else 0: backward through a rectifier. The activation's rows
        /// are `stride` apart.
        case rectifierGradient(activation: UnsafePointer<Float>, stride: Int)

        /// The epilogue of the part of the product which begins at a row and a column.
        func from(row: Int, column: Int) -> Epilogue {
            switch self {
            case .none: .none
            case .bias(let bias): .bias(bias + column)
            case .rectifiedBias(let bias): .rectifiedBias(bias + column)
            case .rectifierGradient(let activation, let stride):
                .rectifierGradient(activation: activation + row * stride + column, stride: stride)
            }
        }

        /// C is [rows, columns], its rows `stride` apart.
        func apply(rows: Int, columns: Int, to c: UnsafeMutablePointer<Float>, stride: Int) {
            switch self {
            case .none: break
            case .bias(let bias):
                Self.forEachVector(rows, columns, c, stride) { _, column, sum in
                    sum + bias.vector(at: column)
                } tail: { _, column, sum in
                    sum + bias[column]
                }
            case .rectifiedBias(let bias):
                Self.forEachVector(rows, columns, c, stride) { _, column, sum in
                    (sum + bias.vector(at: column)).larger(than: .zero)
                } tail: { _, column, sum in
                    let value = sum + bias[column]
                    return value > 0 ? value : 0
                }
            case .rectifierGradient(let activation, let activationStride):
                Self.forEachVector(rows, columns, c, stride) { row, column, sum in
                    Vector.zero.replacing(
                        with: sum, where: activation.vector(at: row * activationStride + column) .> .zero)
                } tail: { row, column, sum in
                    activation[row * activationStride + column] > 0 ? sum : 0
                }
            }
        }

        @inline(__always)
        private static func forEachVector(
            _ rows: Int, _ columns: Int, _ c: UnsafeMutablePointer<Float>, _ stride: Int,
            _ body: (_ row: Int, _ column: Int, _ sum: Vector) -> Vector,
            tail: (_ row: Int, _ column: Int, _ sum: Float) -> Float
        ) {
            for row in 0..<rows {
                let elements = c + row * stride
                var column = 0
                while column + 16 <= columns {
                    elements.store(body(row, column, elements.vector(at: column)), at: column)
                    column += 16
                }
                while column < columns {
                    elements[column] = tail(row, column, elements[column])
                    column += 1
                }
            }
        }
    }
}
