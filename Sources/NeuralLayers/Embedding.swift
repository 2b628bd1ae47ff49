import Autograd
import Synchronization
import TensorCore

/// Token embeddings shared by both embeddings and the output projection: parameter `embedding.weight` [V, d].
public final class Embedding {
    public let weight: Parameter
    /// Several threads may translate at a time.
    private let sinusoids = Mutex<Tensor?>(nil)

    public init(vocabulary: Int, dim: Int, store: ParameterStore) {
        weight = store.add(
            Parameter(
                weights: ["embedding.weight"], outputsEach: vocabulary, inputs: dim, use: .factorAndElements,
                initializer: .normal(deviation: 1 / Float(dim).squareRoot())))
    }

    /// Embedded tokens with their positions, [T, d].
    public func callAsFunction(tokens: [Int32], segments: Segments, _ pass: ForwardPass, mask: DropoutMask) -> Variable {
        pass.tape.embedding(
            tokens: tokens, segments: segments, weight: weight,
            sinusoids: positions(segments.longest, pass.context), mask: mask)
    }

    /// Embedded tokens, each at the position given for it, [T, d].
    public func callAsFunction(tokens: [Int32], positions: [Int], _ pass: ForwardPass) -> Variable {
        let x = pass.context.uninitialized(tokens.count, weight.columns)
        EmbeddingKernel.forward(
            pass.context, tokens: tokens, positions: positions, weight: weight.value,
            sinusoids: self.positions((positions.max() ?? 0) + 1, pass.context), into: x)
        return Variable(x)
    }

    /// The sinusoids of at least `length` positions; the table grows as longer sentences come.
    public func positions(_ length: Int, _ context: ComputeContext) -> Tensor {
        sinusoids.withLock { sinusoids in
            if let sinusoids, sinusoids.rows >= length { return sinusoids }
            let table = EmbeddingKernel.sinusoids(context, length: max(256, length * 2), dim: weight.columns)
            sinusoids = table
            return table
        }
    }
}
