import ConfigurationForms
import MixtureOfExperts
import TensorCore

/// The parameter penalty of HMoE ("Heterogeneous Mixture of Experts for Language Modeling", arXiv 2408.10681, (4)), of one gate:
/// V Σ_e M_e p̄_e, with M_e the fraction of the tokens that chose e, before dropping, times e's width over the mean of the visible
/// experts', and p̄_e the mean share of the scores. It is least where every expert has as many operations: p̄ ∝ 1 / width. With
/// equal widths and first choices alone it is the load-balancing loss, in whose place it stands: give that a weight of 0.
public struct WidthPenalty: RoutingLoss {
    public static let figure = "width_penalty"
    public static let title = "width penalty"

    public struct Settings: Equatable, Sendable {
        public enum Counts: String, CaseIterable, Sendable {
            /// Every choice, as the paper has it: with k of them equal loads and widths cost k.
            case all
            /// The leading expert's alone.
            case first
        }

        public enum Width: String, CaseIterable, Sendable {
            /// The expert's own width.
            case own
            /// And what is to be expected from the strata behind it: all that choosing the expert costs.
            case toGo = "to_go"
        }

        public var weight: Float = 0.1
        public var counts = Counts.all
        public var width = Width.own

        public init() {}
    }

    /// nil: no penalty.
    public var settings: Settings?

    public init() {}

    public static var fields: [ConfigurationField<Self>] {
        let settings = ConfigurationForm<Settings>.section(
            [
                .init("weight", \.weight, .number(.atLeast(0))),
                .init("counts", \.counts, .choice),
                .init("width", \.width, .choice),
            ], over: Settings())
        return [.init("width_penalty", \.settings, .either("none", or: settings), isWritten: { $0.settings != nil })]
    }

    public func validate(_ configuration: MixtureConfiguration, _ path: String, _ problems: ConfigurationProblems) {
        requireProbabilities(configuration, path, key: "width_penalty", problems)
    }

    public func addition(to configuration: MixtureConfiguration) -> String? { settings == nil ? nil : "width penalty" }

    public var isInUse: Bool { settings != nil }
    public var weight: Float { settings?.weight ?? 0 }

    public func value(_ decision: RoutingDecision) -> Float {
        guard decision.tokens > 0 else { return 0 }
        let factors = factors(decision), shares = decision.gate.shares
        let total = (0..<decision.tokens).reduce(0.0) { sum, token in
            factors.indices.reduce(sum) { $0 + Double(factors[$1]) * Double(shares[token, $1]) }
        }
        return Float(total / Double(decision.tokens))
    }

    /// V M_e / T for every token's share of e; M has none.
    public func addShareGradient(_ decision: RoutingDecision, scale: Float, to dshares: Tensor) {
        let gradients = factors(decision).map { scale * $0 / Float(max(decision.tokens, 1)) }
        for token in 0..<decision.tokens {
            let dq = dshares.row(token)
            for expert in gradients.indices { dq[expert] += gradients[expert] }
        }
    }

    /// V M_e, [V].
    private func factors(_ decision: RoutingDecision) -> [Float] {
        guard let settings else { return [] }
        let visible = decision.visible, configuration = decision.gate.configuration
        var counts = [Int](repeating: 0, count: visible.count)
        for expert in settings.counts == .first ? decision.leading : decision.experts where expert >= 0 {
            counts[Int(expert) - visible.lowerBound] += 1
        }
        let widths = visible.map { settings.width == .own ? configuration.width($0) : configuration.widthToGo($0) }
        let mean = widths.reduce(0, +) / Double(visible.count)
        return zip(counts, widths).map { count, width in
            Float(Double(visible.count) * width / mean * Double(count) / Double(max(decision.tokens, 1)))
        }
    }
}

extension MixtureConfiguration {
    /// Relative to those of other experts: 1 for each where they do not differ.
    fileprivate func width(_ expert: Int) -> Double { expertWidths.map { Double($0[expert]) } ?? 1 }

    /// The expert's width, and A_j of the stratum j behind its own: A_i = m_i F̄_i + Σ_{j ≥ i} E_j / V_i A_{j+1}, what a token at
    /// stratum i is expected to meet from there on if all visible experts are as likely, with m_i choices.
    fileprivate func widthToGo(_ expert: Int) -> Double {
        var behind = [Double](repeating: 0, count: strata.count + 1)
        for stratum in strata.indices.reversed() {
            let visible = visibleExperts(atStratum: stratum)
            let choices = rule.expectedChoices(self, atStratum: stratum, isTraining: false)
            behind[stratum] = choices * visible.reduce(0) { $0 + width($1) } / Double(visible.count)
            for later in stratum..<strata.count {
                behind[stratum] += Double(strata[later]) / Double(visible.count) * behind[later + 1]
            }
        }
        return width(expert) + behind[stratumOfExpert[expert] + 1]
    }
}
