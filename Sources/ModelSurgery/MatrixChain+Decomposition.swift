import MixtureOfExperts

extension MatrixChain {
    /// The five tensors of a matrix [out, in], and the singular values met at each bond before they are cut, all in double
    /// precision: decompositions from the left up to the middle, then from the right. The first two tensors are isometries from
    /// their last bond, the last two from their first. Where bonds are smaller than the matrix needs, the largest singular values
    /// are kept, the best cut at a bond. The largest entry of each singular vector is positive.
    func decomposed(_ matrix: [Float]) -> (tensors: [[Float]], singularValues: [[Double]]) {
        precondition(matrix.count == outputs * inputs, "a matrix of out × in elements")
        var rest = matrix.withUnsafeBufferPointer { reordered($0.baseAddress!) }.map { Double($0) }
        var tensors = [[Float]](repeating: [], count: Self.tensors)
        var values = [[Double]](repeating: [], count: Self.tensors - 1)
        var (left, right) = (1, 1)
        for tensor in 0..<Self.centre {
            let rows = left * size(tensor), columns = rest.count / rows, kept = bonds[tensor + 1]
            let transposed = Self.transposed(rest, rows: rows, columns: columns)
            let (squares, vectors) = SymmetricMatrix(productOf: transposed, columns: rows).eigenvectors()
            values[tensor] = squares.prefix(min(rows, columns)).map { max($0, 0).squareRoot() }
            // U [rows, kept], and Uᵀ M [kept, columns].
            tensors[tensor] = (0..<rows * kept).map { Float(vectors[$0 % kept][$0 / kept]) }
            rest = Self.product(vectors.prefix(kept).map { $0 }, rest, columns: columns)
            left = kept
        }
        for tensor in (Self.centre + 1..<Self.tensors).reversed() {
            let columns = size(tensor) * right, rows = rest.count / columns, kept = bonds[tensor]
            let (squares, vectors) = SymmetricMatrix(productOf: rest, columns: columns).eigenvectors()
            values[tensor - 1] = squares.prefix(min(rows, columns)).map { max($0, 0).squareRoot() }
            // Vᵀ [kept, columns], and M V [rows, kept].
            tensors[tensor] = vectors.prefix(kept).flatMap { $0.map { Float($0) } }
            let transposed = Self.transposed(rest, rows: rows, columns: columns)
            let projected = Self.product(vectors.prefix(kept).map { $0 }, transposed, columns: rows)
            rest = Self.transposed(projected, rows: kept, columns: rows)
            right = kept
        }
        tensors[Self.centre] = rest.map { Float($0) }
        return (tensors, values)
    }

    /// The matrix of five tensors.
    func multiplied(_ tensors: [[Float]]) -> [Float] {
        func withPointers(
            _ rest: ArraySlice<[Float]>, _ pointers: [UnsafePointer<Float>], into out: UnsafeMutablePointer<Float>
        ) {
            guard let next = rest.first else { return multiply(pointers, into: out) }
            next.withUnsafeBufferPointer { withPointers(rest.dropFirst(), pointers + [$0.baseAddress!], into: out) }
        }
        return [Float](unsafeUninitializedCapacity: outputs * inputs) { out, count in
            withPointers(tensors[...], [], into: out.baseAddress!)
            count = outputs * inputs
        }
    }

    private static func transposed(_ m: [Double], rows: Int, columns: Int) -> [Double] {
        var result = [Double](repeating: 0, count: m.count)
        for row in 0..<rows { for column in 0..<columns { result[column * rows + row] = m[row * columns + column] } }
        return result
    }

    /// vectors [n, k] · m [k, columns].
    private static func product(_ vectors: [[Double]], _ m: [Double], columns: Int) -> [Double] {
        var result = [Double](repeating: 0, count: vectors.count * columns)
        m.withUnsafeBufferPointer { m in
            result.withUnsafeMutableBufferPointer { result in
                for (row, vector) in vectors.enumerated() {
                    let target = result.baseAddress! + row * columns
                    for (index, factor) in vector.enumerated() {
                        let source = m.baseAddress! + index * columns
                        for column in 0..<columns { target[column] += factor * source[column] }
                    }
                }
            }
        }
        return result
    }
}

/// A symmetric matrix [n, n] in double precision.
struct SymmetricMatrix {
    private var elements: [Double]
    private let n: Int

    /// mᵀ m, of m [rows, columns].
    init(productOf m: [Double], columns: Int) {
        n = columns
        var elements = [Double](repeating: 0, count: columns * columns)
        m.withUnsafeBufferPointer { m in
            elements.withUnsafeMutableBufferPointer { elements in
                for row in 0..<m.count / columns {
                    let values = m.baseAddress! + row * columns
                    for i in 0..<columns where values[i] != 0 {
                        let (factor, target) = (values[i], elements.baseAddress! + i * columns)
                        for j in 0..<columns { target[j] += factor * values[j] }
                    }
                }
            }
        }
        self.elements = elements
    }

    /// Eigenvalues, the largest first, and an eigenvector of length 1 for each, whose largest entry is positive (Jacobi's method:
    /// turns of two axes until nothing is left beside the diagonal).
    func eigenvectors() -> (values: [Double], vectors: [[Double]]) {
        var a = elements, vectors = [Double](repeating: 0, count: n * n)
        for index in 0..<n { vectors[index * n + index] = 1 }
        let size = a.reduce(0) { $0 + $1 * $1 }
        a.withUnsafeMutableBufferPointer { a in
            vectors.withUnsafeMutableBufferPointer { vectors in
                for _ in 0..<60 {
                    var beside = 0.0
                    for p in 0..<n { for q in (p + 1)..<max(n, p + 1) { beside += a[p * n + q] * a[p * n + q] } }
                    if beside <= 1e-30 * size { break }
                    for p in 0..<n {
                        for q in (p + 1)..<max(n, p + 1) { turn(a.baseAddress!, vectors.baseAddress!, p, q) }
                    }
                }
            }
        }
        let values = (0..<n).map { a[$0 * n + $0] }
        let order = values.indices.sorted { (values[$0], $1) > (values[$1], $0) }
        return (
            order.map { values[$0] },
            order.map { index in
                // Rows are the eigenvectors.
                let vector = Array(vectors[index * n..<(index + 1) * n])
                let largest = vector.max { abs($0) < abs($1) } ?? 0
                return largest < 0 ? vector.map { -$0 } : vector
            }
        )
    }

    /// Turns axes p and q such that element (p, q) is 0.
    private func turn(_ a: UnsafeMutablePointer<Double>, _ vectors: UnsafeMutablePointer<Double>, _ p: Int, _ q: Int) {
        let element = a[p * n + q]
        guard element != 0 else { return }
        let theta = (a[q * n + q] - a[p * n + p]) / (2 * element)
        let t = (theta >= 0 ? 1 : -1) / (abs(theta) + (theta * theta + 1).squareRoot())
        let c = 1 / (t * t + 1).squareRoot(), s = t * c
        for k in 0..<n {
            let (x, y) = (a[k * n + p], a[k * n + q])
            a[k * n + p] = c * x - s * y
            a[k * n + q] = s * x + c * y
        }
        for k in 0..<n {
            let (x, y) = (a[p * n + k], a[q * n + k])
            a[p * n + k] = c * x - s * y
            a[q * n + k] = s * x + c * y
        }
        for k in 0..<n {
            let (x, y) = (vectors[p * n + k], vectors[q * n + k])
            vectors[p * n + k] = c * x - s * y
            vectors[q * n + k] = s * x + c * y
        }
    }
}
