import Autograd
import NeuralLayers
import TensorCore

extension TranslationModel {
    /// How much each target token of a batch attends to each source token of its sentence, in the last decoder layer, the mean over
    /// heads, by the rules of evaluation: for each target token as many weights as its sentence has source tokens.
    public func attention(of batch: SentenceBatch) throws -> [[Float]] {
        let pass = ForwardPass(tape: Tape(context, recording: false), isTraining: false, key: RandomKey(seed: 0))
        let memory = try encode(source: batch.source, segments: batch.sourceSegments, pass)
        var x = embedding(tokens: batch.targetInput, segments: batch.targetSegments, pass, mask: .none)
        for layer in decoder.dropLast() {
            x = try layer(
                x, segments: batch.targetSegments, memory: memory, memorySegments: batch.sourceSegments, pass)
        }
        return decoder[decoder.count - 1].attention(
            x, segments: batch.targetSegments, memory: memory, memorySegments: batch.sourceSegments, pass)
    }
}
