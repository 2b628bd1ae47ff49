import TensorCore

extension Tape {
    /// Self-attention's core: projections [T, 3 d] (queries, keys, values side by side) → [T, d].
    public func selfAttention(
        _ projections: Variable, heads: Int, segments: Segments, causal: Bool, mask: DropoutMask
    ) -> Variable {
        let d = projections.columns / 3
        let kernel = AttentionKernel(
            heads: heads, headDim: d / heads, causal: causal, querySegments: segments, keySegments: segments, mask: mask)
        let context = context, qkv = projections.value
        let out = context.uninitialized(projections.rows, d)
        let probabilities = context.uninitialized(1, kernel.probabilityCount)
        context.clock.measure(.attention, "attention") {
            kernel.forward(
                context, queries: .init(qkv, from: 0), keys: .init(qkv, from: d), values: .init(qkv, from: 2 * d),
                probabilities: probabilities, into: out)
        }
        context.clock.count(flops: kernel.forwardFlops)
        return record(out, parameters: []) { dout in
            let dqkv = context.uninitialized(qkv.rows, 3 * d)
            context.clock.measure(.attention, "attention backward") {
                kernel.backward(
                    context, doutput: dout, queries: .init(qkv, from: 0), keys: .init(qkv, from: d),
                    values: .init(qkv, from: 2 * d), probabilities: probabilities,
                    dqueries: .init(dqkv, from: 0), dkeys: .init(dqkv, from: d), dvalues: .init(dqkv, from: 2 * d))
            }
            context.clock.count(flops: 2 * kernel.forwardFlops)
            projections.receive(dqkv, context)
        }
    }

    /// Attention of one sequence to another: queries [Tq, d], keys and values [Tk, 2 d] side by side → [Tq, d].
    public func crossAttention(
        queries: Variable, keysAndValues: Variable, heads: Int, querySegments: Segments, keySegments: Segments,
        mask: DropoutMask
    ) -> Variable {
        let d = queries.columns
        let kernel = AttentionKernel(
            heads: heads, headDim: d / heads, causal: false, querySegments: querySegments, keySegments: keySegments,
            mask: mask)
        let context = context, q = queries.value, kv = keysAndValues.value
        let out = context.uninitialized(queries.rows, d)
        let probabilities = context.uninitialized(1, kernel.probabilityCount)
        context.clock.measure(.attention, "attention") {
            kernel.forward(
                context, queries: .init(q, from: 0), keys: .init(kv, from: 0), values: .init(kv, from: d),
                probabilities: probabilities, into: out)
        }
        context.clock.count(flops: kernel.forwardFlops)
        return record(out, parameters: []) { dout in
            let dq = context.uninitialized(q.rows, d), dkv = context.uninitialized(kv.rows, 2 * d)
            context.clock.measure(.attention, "attention backward") {
                kernel.backward(
                    context, doutput: dout, queries: .init(q, from: 0), keys: .init(kv, from: 0), values: .init(kv, from: d),
                    probabilities: probabilities,
                    dqueries: .init(dq, from: 0), dkeys: .init(dkv, from: 0), dvalues: .init(dkv, from: d))
            }
            context.clock.count(flops: 2 * kernel.forwardFlops)
            queries.receive(dq, context)
            keysAndValues.receive(dkv, context)
        }
    }
}
