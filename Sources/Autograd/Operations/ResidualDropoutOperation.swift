import TensorCore

extension Tape {
    /// residual + dropout(y + bias). The result is written over `y`, whose value nobody reads afterwards.
    public func residualDropout(residual: Variable, y: Variable, bias: Parameter?, mask: DropoutMask) -> Variable {
        let context = context
        Elementwise.residualDropout(
            context, residual: residual.value, y: y.value, bias: bias?.value, mask: mask, into: y.value)
        return record(y.value, parameters: bias.map { [$0] } ?? []) { dout in
            let dy = context.uninitialized(dout.rows, dout.columns)
            if mask.dropsNothing {
                dy.copy(from: dout)
            } else {
                Elementwise.dropout(context, dout, mask: mask, into: dy)
            }
            if let bias, bias.isTrained { Elementwise.addColumnSums(context, of: dy, to: bias.gradient) }
            y.receive(dy, context)
            residual.receive(dout, context)
        }
    }
}
