import ConfigurationForms
import MixtureOfExperts
import NeuralLayers
import TensorCore

/// Expert output masking (EOM; "Fixing MoE Over-Fitting on Low-Resource Languages in Multilingual Machine Translation", arXiv
/// 2212.07571): in training the output of a choice is zeroed with a probability, in evaluation all are scaled by what training
/// keeps on average.
public struct ExpertOutputMasking: OutputMasking {
    /// The probability that a choice's output is masked; 0: no masking.
    public var probability: Float = 0

    public init() {}

    public static var fields: [ConfigurationField<Self>] {
        [.init("expert_output_masking", \.probability, .number(.from(0, below: 1)))]
    }

    public func addition(to configuration: MixtureConfiguration) -> String? { probability > 0 ? "EOM" : nil }

    public func factors(_ decision: RoutingDecision) -> [Float]? {
        guard probability > 0 else { return nil }
        let gate = decision.gate
        guard gate.isTraining else { return [Float](repeating: 1 - probability, count: decision.experts.count) }
        let key = gate.key.derived(.expertMasking)
        return zip(decision.choiceTokens, decision.experts).map { token, expert in
            key.derived(Int(gate.rows[Int(token)])).uniform(Int(expert)) < probability ? 0 : 1
        }
    }
}

extension RandomPurpose {
    fileprivate static let expertMasking = RandomPurpose(number: 6)
}
