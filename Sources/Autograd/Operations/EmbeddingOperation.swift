import TensorCore

extension Tape {
    /// dropout(weight[tokens] · sqrt(d) + position), [T, d].
    public func embedding(
        tokens: [Int32], segments: Segments, weight: Parameter, sinusoids: Tensor, mask: DropoutMask
    ) -> Variable {
        let context = context
        let out = context.uninitialized(tokens.count, weight.columns)
        EmbeddingKernel.forward(
            context, tokens: tokens, segments: segments, weight: weight.value, sinusoids: sinusoids, mask: mask, into: out)
        return record(out, parameters: [weight]) { dout in
            guard weight.isTrained else { return }
            if !mask.dropsNothing { Elementwise.dropout(context, dout, mask: mask, into: dout) }
            EmbeddingKernel.backward(context, tokens: tokens, dout: dout, into: weight.gradient)
        }
    }
}
