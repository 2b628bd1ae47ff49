import Autograd
import TensorCore

/// One or more affine maps of the same input, computed as one product: parameters `<name>.weight` [out, in] and
/// `<name>.bias` [out] for each name.
public struct Linear {
    public let weight: Parameter
    public let bias: Parameter

    public init(names: [String], inputSize: Int, outputSizeEach: Int, gain: Float = 1, store: ParameterStore) {
        weight = store.add(
            Parameter(
                weights: names.map { "\($0).weight" }, outputsEach: outputSizeEach, inputs: inputSize, use: .factor,
                initializer: .xavier(inputs: inputSize, outputs: outputSizeEach, gain: gain)))
        bias = store.add(
            Parameter(
                vectors: names.map { "\($0).bias" }, countEach: outputSizeEach, initializer: .constant(0)))
    }

    public func callAsFunction(_ x: Variable, _ pass: ForwardPass) -> Variable {
        pass.tape.linear(x, weight: weight, bias: bias)
    }
}
