import Autograd
import NeuralLayers
import TensorCore
import _TestSupport

extension TinyBlock {
    /// The block's own network below `name`, `<name>.{fc1,fc2}.*`, in a store of its own.
    func twin(of name: String) throws -> FeedForward {
        var values: [String: [Float]] = [:]
        try store.forEachSlice { slice, _, elements, _ in values[slice] = Array(elements) }
        let own = ParameterStore()
        let network = FeedForward(
            name: name, dim: values["\(name).fc2.bias"]!.count, ffnDim: values["\(name).fc1.bias"]!.count, store: own)
        own.materialize(context, seed: 1)
        try own.forEachSlice { slice, _, elements, _ in
            for (index, value) in values[slice]!.enumerated() { elements[index] = value }
        }
        return network
    }

    /// A pass of training with the key of `forward`.
    var trainingPass: ForwardPass {
        ForwardPass(tape: Tape(context, recording: false), isTraining: true, key: RandomKey(seed: 5))
    }
}
