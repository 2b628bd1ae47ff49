import Autograd
import TensorCore

/// Layer normalisation with a gain and a bias, parameters `<name>.weight` and `<name>.bias`.
public struct LayerNorm {
    public let gain: Parameter
    public let bias: Parameter

    public init(name: String, dim: Int, store: ParameterStore) {
        gain = store.add(Parameter(vectors: ["\(name).weight"], countEach: dim, initializer: .constant(1)))
        bias = store.add(Parameter(vectors: ["\(name).bias"], countEach: dim, initializer: .constant(0)))
    }

    public func callAsFunction(_ x: Variable, _ pass: ForwardPass) -> Variable {
        pass.tape.layerNorm(x, gain: gain, bias: bias)
    }
}
