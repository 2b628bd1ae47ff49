import Autograd
import TensorCore

/// `count` standard normal values, the same for the same seed.
public func normalValues(_ count: Int, seed: UInt64, scale: Float = 1) -> [Float] {
    let key = RandomKey(seed: seed)
    return (0..<count).map { key.normal($0) * scale }
}

/// `count` tokens of `range`, the same for the same seed.
public func drawnTokens(_ count: Int, of range: Range<Int32>, seed: UInt64) -> [Int32] {
    let key = RandomKey(seed: seed)
    return (0..<count).map { range.lowerBound + Int32(key.uniform($0) * Float(range.count)) }
}

extension ParameterStore {
    /// Adds noise to every value, drawn under the slice's name: gains are no longer 1 nor biases 0, and whichever rank holds a
    /// slice holds the same values.
    public func perturb(deviation: Float = 0.2, seed: UInt64) throws {
        try forEachSlice { name, _, values, _ in
            let key = RandomKey(seed: seed).derived("noise").derived(name)
            for index in values.indices { values[index] += key.normal(index) * deviation }
        }
    }

    /// Copies of the gradients of every slice that this rank holds, by name.
    public func gradients() throws -> [String: [Float]] {
        var result: [String: [Float]] = [:]
        try forEachSlice { name, _, _, gradients in result[name] = Array(gradients) }
        return result
    }
}

extension ParameterStore {
    /// Adds up the gradients of all sources of experts' rows, as training does in an order of its own.
    public func addSources() {
        let section = section(.expert)
        for source in section.leaves.dropFirst() {
            for element in 0..<source.count { section.gradients.pointer[element] += source.pointer[element] }
            source.fill(0)
        }
    }
}
