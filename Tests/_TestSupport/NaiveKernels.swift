import TensorCore

/// Kernels as their definitions say, in double precision and one element at a time: the oracles of the fast ones.
public enum NaiveKernels {
    /// A matrix [rows, columns] of doubles, row-major.
    public struct Matrix: Equatable {
        public let rows: Int
        public let columns: Int
        public var elements: [Double]

        public init(rows: Int, columns: Int, elements: [Double]? = nil) {
            self.rows = rows
            self.columns = columns
            self.elements = elements ?? Array(repeating: 0, count: rows * columns)
        }

        public init(_ tensor: Tensor) {
            self.init(rows: tensor.rows, columns: tensor.columns, elements: tensor.elements.map(Double.init))
        }

        public subscript(row: Int, column: Int) -> Double {
            get { elements[row * columns + column] }
            set { elements[row * columns + column] = newValue }
        }

        public var transposed: Matrix {
            var result = Matrix(rows: columns, columns: rows)
            for row in 0..<rows { for column in 0..<columns { result[column, row] = self[row, column] } }
            return result
        }

        /// Columns `range` of the rows `rows`.
        public func part(_ rows: Range<Int>, _ columns: Range<Int>) -> Matrix {
            var result = Matrix(rows: rows.count, columns: columns.count)
            for row in rows {
                for column in columns { result[row - rows.lowerBound, column - columns.lowerBound] = self[row, column] }
            }
            return result
        }

        public mutating func setPart(_ part: Matrix, row: Int, column: Int) {
            for i in 0..<part.rows { for j in 0..<part.columns { self[row + i, column + j] = part[i, j] } }
        }

        public static func * (a: Matrix, b: Matrix) -> Matrix {
            precondition(a.columns == b.rows)
            var result = Matrix(rows: a.rows, columns: b.columns)
            for row in 0..<a.rows {
                for column in 0..<b.columns {
                    var sum = 0.0
                    for k in 0..<a.columns { sum += a[row, k] * b[k, column] }
                    result[row, column] = sum
                }
            }
            return result
        }

        public static func + (a: Matrix, b: Matrix) -> Matrix {
            precondition(a.rows == b.rows && a.columns == b.columns)
            return Matrix(rows: a.rows, columns: a.columns, elements: zip(a.elements, b.elements).map(+))
        }

        /// The sums of the columns, [1, columns].
        public var columnSums: Matrix {
            var result = Matrix(rows: 1, columns: columns)
            for row in 0..<rows { for column in 0..<columns { result[0, column] += self[row, column] } }
            return result
        }
    }

    /// The largest absolute difference, relative to the largest magnitude that is expected (at least `floor`); infinite if
    /// an element is not a number or the extents differ.
    public static func deviation(_ actual: Tensor, _ expected: Matrix, floor: Double = 1e-3) -> Double {
        guard actual.rows == expected.rows, actual.columns == expected.columns else { return .infinity }
        return deviation(actual.elements, expected.elements, floor: floor)
    }

    public static func deviation(_ actual: [Float], _ expected: [Double], floor: Double = 1e-3) -> Double {
        guard actual.count == expected.count else { return .infinity }
        var largest = 0.0, magnitude = floor
        for (a, e) in zip(actual, expected) {
            guard a.isFinite else { return .infinity }
            largest = max(largest, abs(Double(a) - e))
            magnitude = max(magnitude, abs(e))
        }
        return largest / magnitude
    }
}

extension ComputeContext {
    /// A tensor of standard normal values, the same for the same seed.
    public func normal(_ rows: Int, _ columns: Int, seed: Int, deviation: Float = 1) -> Tensor {
        let key = RandomKey(seed: UInt64(seed)), tensor = uninitialized(rows, columns)
        for i in 0..<tensor.count { tensor.pointer[i] = key.normal(i) * deviation }
        return tensor
    }
}

extension Tensor {
    /// The elements' bits: equality of these also tells zeros of different sign and different NaNs apart.
    public var bits: [UInt32] { elements.map(\.bitPattern) }
}
