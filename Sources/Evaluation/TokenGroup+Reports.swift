import Autograd
import DataPipeline
import NeuralLayers
import TensorCore
import TransformerModel

extension TokenGroup {
    /// What the blocks of a model do with these sentence pairs by the rules of evaluation, the reference translation given.
    func reports(
        _ model: TranslationModel, keepingDecisions: Bool = false
    ) throws -> (encoder: [BlockReport], decoder: [BlockReport]) {
        var pass = ForwardPass(tape: Tape(model.context, recording: false), isTraining: false, key: RandomKey(seed: 0))
        pass.keepsDecisions = keepingDecisions
        var encoder: [BlockReport] = [], decoder: [BlockReport] = []
        let memory = try model.encode(source: source, segments: sourceSegments, pass, reports: &encoder)
        _ = try model.decode(
            targetInput: targetInput, segments: targetSegments, memory: memory, memorySegments: sourceSegments, pass,
            reports: &decoder)
        return (encoder, decoder)
    }
}
