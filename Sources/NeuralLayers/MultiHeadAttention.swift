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
        return output.project(mixed, addedTo: residual, pass, mask: residualMask)
    }

    /// One position of decoding, h [H, d]: residual + attention of each row of a step to what it sees of `cache`. The keys and
    /// values of the position itself go to `slots`, a slot a row, which its row sees too. `inputs` says which row of h and of the
    /// residual each row of the step has, where some have the same; nil: each its own.
    public func step(
        _ h: Variable, addedTo residual: Variable, _ pass: ForwardPass, cache: AttentionCache, slots: [Int32], seen: SeenSlots,
        inputs: [Int32]? = nil
    ) -> Variable {
        func rows(_ distinct: Tensor) -> Tensor {
            guard let inputs else { return distinct }
            let rows = pass.context.uninitialized(inputs.count, distinct.columns)
            RowKernels.gather(pass.context, distinct, inputs, into: rows)
            return rows
        }
        let projected = rows(projections(h, pass).value), residual = Variable(rows(residual.value))
        cache.store(projected, from: h.columns, in: slots)
        let entries = cache.entries(seen), d = residual.columns, mixed = pass.context.uninitialized(residual.rows, d)
        pass.context.clock.measure(.attention, "attention") {
            CachedAttentionKernel.run(
                pass.context, queries: projected, entries: entries, heads: heads, headDim: d / heads, into: mixed)
        }
        return output.project(Variable(mixed), addedTo: residual, pass, mask: .none)
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
        return output.project(mixed, addedTo: residual, pass, mask: residualMask)
    }

    /// The keys and values of memory [T, d], once for all steps: [T, 2 d].
    public func remember(_ memory: Variable, _ pass: ForwardPass) -> Tensor { keysAndValues(memory, pass).value }

    /// One position of decoding, h [R, d]: residual + attention of each row to what it sees of what `remember` gave.
    public func step(
        _ h: Variable, addedTo residual: Variable, _ pass: ForwardPass, seen: CachedAttentionKernel.Spans
    ) -> Variable {
        let queries = queries(h, pass).value, d = residual.columns, mixed = pass.context.uninitialized(residual.rows, d)
        pass.context.clock.measure(.attention, "attention") {
            CachedAttentionKernel.run(
                pass.context, queries: queries, spans: seen, heads: heads, headDim: d / heads, into: mixed)
        }
        return output.project(Variable(mixed), addedTo: residual, pass, mask: .none)
    }
}

extension Linear {
    /// residual + dropout(x wᵀ + b), written over the product.
    fileprivate func project(
        _ x: Variable, addedTo residual: Variable, _ pass: ForwardPass, mask: DropoutMask
    ) -> Variable {
        let y = pass.tape.linear(x, weight: weight, bias: nil)
        return pass.tape.residualDropout(residual: residual, y: y, bias: bias, mask: mask)
    }
}
