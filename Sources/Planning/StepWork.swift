import Runs
import TransformerModel

/// What a rank does for one token group, forward and backward, before it is known how fast: operations and bytes. Multiplications
/// and additions count as one each.
struct StepWork {
    /// Tokens of a group on either side.
    let tokens: Double
    /// Operations of products with the layers' weights, experts' aside.
    let dense: Double
    let loss: Double
    let attention: Double
    /// Bytes read and written by what is bound by memory.
    let passes: Double
    /// Operations of a row, by kind of block, then by expert.
    let ofRow: [[Double]]
    /// How far the work of single groups is from the mean: standard deviation over mean. Groups hold sentences of like length:
    /// longer ones have more attention.
    let spread: Double

    /// How full groups are, and the length of their sentences, in tokens: those of `SyntheticSentences`.
    static let fill = 0.933
    static let sentence = 24.0
    /// Standard deviations over means of both.
    private static let fillSpread = 0.013
    private static let sentenceSpread = 0.66

    init(_ plan: ModelPlan, _ configuration: RunConfiguration) {
        let model = plan.configuration, d = Double(model.dim), training = configuration.training
        let tokens = Self.fill * Double(training.tokensPerGroup), blocks = Double(plan.blocks)
        let output = Double(plan.vocabulary) * d
        let layers = Double(model.encoderLayers + model.decoderLayers)
        let gates = plan.kinds.reduce(0) { sum, kind in
            sum + Double(kind.count) * zip(kind.routing.arrivals, kind.gateProducts).reduce(0) { $0 + $1.0 * $1.1 }
        }
        // Forward, and twice as much backward; what is computed again, once.
        let again = training.recompute ? (layers - blocks) * d * Double(model.ffnDim) : 0
        dense = tokens * (6 * (plan.denseProducts - output + gates) + 2 * again)
        loss = tokens * 6 * output
        let attentions = Double(model.encoderLayers + 2 * model.decoderLayers)
        attention = tokens * attentions * 12 * Self.sentence * d
        // Half of an expert's products are those of its first layer, whose results may be computed again.
        ofRow = plan.kinds.map { $0.productsOfExpert.map { Double($0) * (training.recompute ? 7 : 6) } }
        passes = tokens * Self.passedFloats(plan, configuration) * 4
        let whole = dense + loss + attention
        spread = (Self.fillSpread * Self.fillSpread + pow2(Self.sentenceSpread * attention / max(whole, 1))).squareRoot()
        self.tokens = tokens
    }

    /// Floats of a token that layers read and write besides products. A sublayer: LayerNorm reads and writes a row, and in backward
    /// reads two and adds to one; dropout and residual read two and write one, and in backward read one and write one; gradients
    /// of biases read two. A row of an expert is gathered, mixed and, in backward, the same again twice; a gate's tokens are
    /// gathered and normalised as a sublayer's.
    private static func passedFloats(_ plan: ModelPlan, _ configuration: RunConfiguration) -> Double {
        let model = plan.configuration, d = Double(model.dim)
        let sublayers = Double(2 * model.encoderLayers + 3 * model.decoderLayers)
        let rounded = configuration.parallel.wire == .bfloat16 ? 12.0 : 0
        return plan.kinds.reduce(sublayers * 16 * d) { sum, kind in
            let rows = kind.routing.rowsPerToken / Double(kind.mixture.rowsPerToken), later = kind.routing.requestedCapacity - 1
            return sum + d * Double(kind.count) * (rows * (10 + rounded) + later * 16)
        }
    }
}

private func pow2(_ value: Double) -> Double { value * value }
