import Autograd
import TensorCore

/// fc2(relu(fc1(h))): parameters `<name>.fc1` [ffn, d] and `<name>.fc2` [d, ffn], weights and biases.
public struct FeedForward {
    public let weight1: Parameter
    public let bias1: Parameter
    public let weight2: Parameter
    public let bias2: Parameter

    /// Of parameters that the store has.
    public init(weight1: Parameter, bias1: Parameter, weight2: Parameter, bias2: Parameter) {
        (self.weight1, self.bias1, self.weight2, self.bias2) = (weight1, bias1, weight2, bias2)
    }

    public init(name: String, dim: Int, ffnDim: Int, placement: ParameterPlacement = .replicated, store: ParameterStore) {
        let initializer = ParameterInitializer.xavier(inputs: dim, outputs: ffnDim)
        weight1 = store.add(
            Parameter(
                weights: ["\(name).fc1.weight"], outputsEach: ffnDim, inputs: dim, placement: placement,
                use: .factor, initializer: initializer))
        bias1 = store.add(
            Parameter(
                vectors: ["\(name).fc1.bias"], countEach: ffnDim, placement: placement, initializer: .constant(0)))
        weight2 = store.add(
            Parameter(
                weights: ["\(name).fc2.weight"], outputsEach: dim, inputs: ffnDim, placement: placement,
                use: .factor, initializer: initializer))
        bias2 = store.add(
            Parameter(
                vectors: ["\(name).fc2.bias"], countEach: dim, placement: placement, initializer: .constant(0)))
    }

    /// residual + dropout(fc2(relu(fc1(h)))).
    public func callAsFunction(_ h: Variable, addedTo residual: Variable, _ pass: ForwardPass, mask: DropoutMask) -> Variable {
        let y = pass.tape.feedForward(h, weight1: weight1, bias1: bias1, weight2: weight2)
        return pass.tape.residualDropout(residual: residual, y: y, bias: bias2, mask: mask)
    }
}
