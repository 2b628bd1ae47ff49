import TensorCore

/// The hidden units of a feed-forward network in experts of equal size.
struct NeuronExperts: Equatable {
    /// The units, expert after expert: those of e are neurons[e m ..< (e + 1) m].
    let neurons: [Int]
    let experts: Int

    var size: Int { neurons.count / experts }

    func neurons(of expert: Int) -> ArraySlice<Int> { neurons[expert * size..<(expert + 1) * size] }

    /// Positive masses s_e, the sum of the activations of an expert's units, [T, E], from activations [T, f].
    func masses(_ activations: [Float]) -> [Float] {
        let hidden = neurons.count, tokens = activations.count / hidden
        var masses = [Float](repeating: 0, count: tokens * experts)
        for token in 0..<tokens {
            for (place, neuron) in neurons.enumerated() {
                masses[token * experts + place / size] += activations[token * hidden + neuron]
            }
        }
        return masses
    }

    /// The mean of an expert's rows, [E, d], of rows [f, d].
    func centres(_ rows: [Float], dim: Int) -> [Float] {
        var centres = [Float](repeating: 0, count: experts * dim)
        for (place, neuron) in neurons.enumerated() {
            for column in 0..<dim { centres[place / size * dim + column] += rows[neuron * dim + column] / Float(size) }
        }
        return centres
    }

    /// Those of which each label has as many, in the order of the labels and then of the units.
    init(labels: [Int], of units: [Int], experts: Int) {
        neurons = (0..<experts).flatMap { expert in units.indices.filter { labels[$0] == expert }.map { units[$0] } }
        self.experts = experts
    }

    init(neurons: [Int], experts: Int) {
        self.neurons = neurons
        self.experts = experts
    }
}

/// Rows, each over its length, of a matrix with rows of `dim`; a row of zeros stays.
func unitRows(_ rows: [Float], dim: Int) -> [Float] {
    var units = rows
    for start in stride(from: 0, to: rows.count, by: dim) {
        var sum = 0.0
        for index in start..<start + dim { sum += Double(rows[index]) * Double(rows[index]) }
        let inverse = Float(1 / max(sum.squareRoot(), 1e-12))
        for index in start..<start + dim { units[index] *= inverse }
    }
    return units
}

/// a [m, k] · bᵀ, with b [n, k]: [m, n].
func productWithTranspose(_ a: [Float], _ b: [Float], m: Int, n: Int, k: Int) -> [Float] {
    product(m: m, n: n, k: k) { a, b, out in
        GEMM.multiply(
            m: m, n: n, k: k, GEMM.Factor(a, stride: k), GEMM.Factor(b, stride: k, transposed: true), into: out, stride: n)
    }(a, b)
}

/// aᵀ · b, with a [k, m] and b [k, n]: [m, n].
func transposeTimes(_ a: [Float], _ b: [Float], m: Int, n: Int, k: Int) -> [Float] {
    product(m: m, n: n, k: k) { a, b, out in
        GEMM.multiply(
            m: m, n: n, k: k, GEMM.Factor(a, stride: m, transposed: true), GEMM.Factor(b, stride: n), into: out, stride: n)
    }(a, b)
}

/// a [m, k] · b [k, n]: [m, n].
func product(_ a: [Float], _ b: [Float], m: Int, n: Int, k: Int) -> [Float] {
    product(m: m, n: n, k: k) { a, b, out in
        GEMM.multiply(m: m, n: n, k: k, GEMM.Factor(a, stride: k), GEMM.Factor(b, stride: n), into: out, stride: n)
    }(a, b)
}

private func product(
    m: Int, n: Int, k: Int,
    _ multiply: @escaping (UnsafePointer<Float>, UnsafePointer<Float>, UnsafeMutablePointer<Float>) -> Void
) -> ([Float], [Float]) -> [Float] {
    { a, b in
        precondition(a.count == m * k && b.count == n * k, "matrices of m × k and n × k elements")
        guard k > 0 else { return [Float](repeating: 0, count: m * n) }
        return [Float](unsafeUninitializedCapacity: m * n) { out, count in
            a.withUnsafeBufferPointer { a in
                b.withUnsafeBufferPointer { b in
                    if m * n > 0 { multiply(a.baseAddress!, b.baseAddress!, out.baseAddress!) }
                }
            }
            count = m * n
        }
    }
}
