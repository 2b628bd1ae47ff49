import Autograd
import TensorCore

/// fairseq's gain for query, key and value projections: the three are initialised as if they were one matrix.
private let projectionGain = 1 / Float(2).squareRoot()

/// Multi-head attention of a sequence to itself: parameters `<name>.{q,k,v,out}`.
public struct SelfAttention {
    public let heads: Int
    public let causal: Bool
    public let projections: Linear
    public let output: Linear

    public init(name: String, dim: Int, heads: Int, causal: Bool, store: ParameterStore) {
        precondition(dim % heads == 0, "the width \(dim) must be a multiple of the \(heads) heads")
        self.heads = heads
        self.causal = causal
        projections = Linear(
            names: ["q", "k", "v"].map { "\(name).\($0)" }, inputSize: dim, outputSizeEach: dim, gain: projectionGain,
            store: store)
        output = Linear(names: ["\(name).out"], inputSize: dim, outputSizeEach: dim, store: store)
    }

    /// residual + dropout(attention(h)).
    public func callAsFunction(
        _ h: Variable, addedTo residual: Variable, _ pass: ForwardPass, segments: Segments, attentionMask: DropoutMask,
        residualMask: DropoutMask
    ) -> Variable {
        let mixed = pass.tape.selfAttention(
            projections(h, pass), heads: heads, segments: segments, causal: causal, mask: attentionMask)
        let y = pass.tape.linear(mixed, weight: output.weight, bias: nil)
        return pass.tape.residualDropout(residual: residual, y: y, bias: output.bias, mask: residualMask)
    }
}

/// Multi-head attention of the decoder to the encoder's output: parameters `<name>.{q,k,v,out}`.
public struct CrossAttention {
    public let heads: Int
    public let queries: Linear
    public let keysAndValues: Linear
    public let output: Linear

    public init(name: String, dim: Int, heads: Int, store: ParameterStore) {
        precondition(dim % heads == 0, "the width \(dim) must be a multiple of the \(heads) heads")
        self.heads = heads
        queries = Linear(names: ["\(name).q"], inputSize: dim, outputSizeEach: dim, gain: projectionGain, store: store)
        keysAndValues = Linear(
            names: ["\(name).k", "\(name).v"], inputSize: dim, outputSizeEach: dim, gain: projectionGain, store: store)
        output = Linear(names: ["\(name).out"], inputSize: dim, outputSizeEach: dim, store: store)
    }

    /// residual + dropout(attention of h to memory).
    public func callAsFunction(
        _ h: Variable, memory: Variable, addedTo residual: Variable, _ pass: ForwardPass, segments: Segments,
        memorySegments: Segments, attentionMask: DropoutMask, residualMask: DropoutMask
    ) -> Variable {
        let mixed = pass.tape.crossAttention(
            queries: queries(h, pass), keysAndValues: keysAndValues(memory, pass), heads: heads, querySegments: segments,
            keySegments: memorySegments, mask: attentionMask)
        let y = pass.tape.linear(mixed, weight: output.weight, bias: nil)
        return pass.tape.residualDropout(residual: residual, y: y, bias: output.bias, mask: residualMask)
    }
}
