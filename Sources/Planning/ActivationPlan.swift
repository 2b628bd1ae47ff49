import MixtureOfExperts
import TensorCore
import Training
import TransformerModel

/// An estimate of the memory that full token groups take between forward and backward: source and target of
/// `training.tokens_per_group` tokens each, in sentences of 32 tokens.
struct ActivationPlan {
    private let model: ModelConfiguration
    private let encoderKind: BlockPlan?
    private let decoderKind: BlockPlan?
    private let training: TrainingConfiguration
    /// Whether experts are on other ranks too, so that the rows that arrive are kept.
    private let isSpread: Bool
    /// Those that run at a time.
    private let groups: Int
    private let vocabulary: Int

    private static let sentence = 32

    init(_ plan: ModelPlan, _ training: TrainingConfiguration, isSpread: Bool, groups: Int) {
        self.groups = groups
        model = plan.configuration
        (encoderKind, decoderKind) = (plan.encoderKind, plan.decoderKind)
        vocabulary = plan.vocabulary
        self.training = training
        self.isSpread = isSpread
    }

    var bytes: Int {
        let d = Double(model.dim), tokens = Double(training.tokensPerGroup)
        let encoder =
            2 * d + Double(model.encoderLayers) * attention + feedForward(model.encoderLayers, model.encoderBlocks, encoderKind)
        let decoder =
            2 * d + Double(model.decoderLayers) * (attention + crossAttention)
            + feedForward(model.decoderLayers, model.decoderBlocks, decoderKind)
        // The loss's chunk of logits, or what backward of a layer computes with, whichever is larger.
        let rows = min(training.tokensPerGroup, max(256, (1 << 23) / vocabulary))
        let kinds = [encoderKind, decoderKind].compactMap(\.self)
        let experts = kinds.map(self.wholeRows).max() ?? 0, hidden = kinds.map(self.hidden).max() ?? 0
        let layer = max(Double(model.ffnDim), hidden) * (training.recompute ? 2 : 1) + (4 + 3 * experts) * d
        let passing = max(Double(rows * vocabulary), tokens * layer)
        return Int(clamped: (Double(groups) * tokens * (encoder + decoder + d) + passing) * Double(MemoryLayout<Float>.stride))
    }

    // Floats a token, as the operations keep them.

    /// Rows of width d that go to experts: parts of one are as many floats.
    private func wholeRows(_ kind: BlockPlan) -> Double { kind.largestRouting.rowsPerToken / Double(kind.mixture.rowsPerToken) }

    /// Hidden activations of the experts.
    private func hidden(_ kind: BlockPlan) -> Double {
        let mixture = kind.mixture
        let kept = mixture.methods(for: (any ExpertMethod).self).lazy.compactMap { $0.keptFloats(mixture) }.first
        let widths = mixture.expertWidths ?? [Int](repeating: kept ?? model.ffnDim, count: mixture.experts)
        return zip(kind.largestRouting.trainedRows, widths).reduce(0) { $0 + $1.0 * Double($1.1) }
    }

    /// LayerNorm, projections, probabilities, what is attended to, the sum with the residual.
    private var attention: Double { Double(6 * model.dim + model.heads * Self.sentence) }

    /// The floats of cross-attention: those of `attention`, with keys and values of a source token.
    private var crossAttention: Double { Double(6 * model.dim + model.heads * Self.sentence) }

    private func feedForward(_ layers: Int, _ blocks: Int, _ kind: BlockPlan?) -> Double {
        let kept = training.recompute ? 0 : Double(model.ffnDim)
        return Double(layers - blocks) * (2 * Double(model.dim) + kept) + Double(blocks) * (kind.map { block($0, kept) } ?? 0)
    }

    private func block(_ kind: BlockPlan, _ kept: Double) -> Double {
        let d = Double(model.dim), mixture = kind.mixture
        var floats = d + (training.recompute ? 0 : hidden(kind)) + wholeRows(kind) * d * (isSpread ? 2 : 1)
        for (stratum, arrivals) in kind.largestRouting.arrivals.enumerated() {
            let scores = Double(mixture.rowsPerToken * mixture.visibleExperts(atStratum: stratum).count)
            floats += arrivals * (scores + (stratum > 0 ? d : 0))
        }
        // The first stratum's normalised rows are kept; what surrounds the experts reads them too.
        let wrappers = mixture.methods(for: (any WrappingMethod).self)
        let entries = mixture.methods(for: (any EntryMethod).self)
        return floats + wrappers.reduce(d) { $0 + Double($1.keptFloats(dim: model.dim, hidden: Int(kept))) }
            + entries.reduce(0) { $0 + Double($1.keptFloats(dim: model.dim, hidden: Int(kept))) }
    }
}
