import TensorCore

/// A tensor of the computation and, in backward, the loss's gradient with respect to it.
public final class Variable {
    public let value: Tensor
    private(set) var gradient: Tensor?

    public init(_ value: Tensor) { self.value = value }

    public var rows: Int { value.rows }
    public var columns: Int { value.columns }

    /// Adds to the gradient, or makes the tensor the gradient: the caller does not write to it afterwards.
    public func receive(_ contribution: Tensor, _ context: ComputeContext) {
        precondition(contribution.rows == value.rows && contribution.columns == value.columns)
        if let gradient {
            Elementwise.add(context, contribution, to: gradient)
        } else {
            gradient = contribution
        }
    }

    /// The gradient as the target of a kernel: the tensor, and whether it already holds a sum that must be added to.
    public func gradientTarget(_ context: ComputeContext) -> (tensor: Tensor, accumulate: Bool) {
        if let gradient { return (gradient, true) }
        let fresh = context.uninitialized(value.rows, value.columns)
        gradient = fresh
        return (fresh, false)
    }

    /// Hands the gradient over, and forgets it; zeros if nothing contributed.
    func takeGradient(_ context: ComputeContext) -> Tensor {
        defer { gradient = nil }
        return gradient ?? context.zeros(value.rows, value.columns)
    }
}
