import Autograd
import ConfigurationForms
import MixtureOfExperts
import TensorCore

/// Top-any choice ("Dynamic Mixture of Experts", DynMoE, arXiv 2405.14297): each expert has a threshold G of its own, and a token
/// takes every expert whose cosine s with it exceeds that: z = [scale · s > G]. All n of its experts weigh 1 / n. A token that no
/// expert takes goes on as it is in training, and takes its best-scored one in evaluation.
///
/// Scores are a = σ(scale · s), and θ = σ(G). The step z has no derivative: backward takes that of a − θ where z is 1, and 0
/// elsewhere.
public struct TopAnyChoice: RoutingRule {
    public static let routing = "top_any"

    /// What backward takes for the derivative of the weights z / n.
    public enum GateGradient: String, CaseIterable, Sendable {
        /// n is a constant.
        case plain
        /// The quotient is differentiated.
        case normalized
    }

    public struct Settings: Equatable, Sendable {
        /// What cosines are multiplied by; 1: the published gate. √d makes them as wide as other gates' logits.
        public var scale: Float = 1
        public var gateGradient = GateGradient.plain
        /// The weights of the losses.
        public var diversity: Float = 0.01
        public var simplicity: Float = 0.01
        public var balance: Float = 0.01
        public var efficiency: Float = 0.01

        public init() {}
    }

    public var settings = Settings()

    public init() {}

    public static var fields: [ConfigurationField<Self>] {
        let settings = ConfigurationForm<Settings>.section(
            [
                .init("scale", \.scale, .number(.above(0))),
                .init("gate_gradient", \.gateGradient, .choice),
                .init("diversity", \.diversity, .number(.atLeast(0))),
                .init("simplicity", \.simplicity, .number(.atLeast(0))),
                .init("balance", \.balance, .number(.atLeast(0))),
                .init("efficiency", \.efficiency, .number(.atLeast(0))),
            ], over: Settings())
        return [.init("top_any", \.settings, settings, isWritten: { $0.settings != Settings() })]
    }

    public var readsSelection: Bool { false }
    public var readsTopK: Bool { false }
    public var readsNormalization: Bool { false }
    public var adapts: Bool { true }

    public func validate(_ configuration: MixtureConfiguration, _ path: String, _ problems: ConfigurationProblems) {
        problems.require(
            configuration.routing == Self.routing || settings == Settings(), "\(path).top_any", "\(path).routing",
            text: "must be left out with \(path).routing: \(configuration.routing), for it is of routing: top_any")
    }

    public func addition(to configuration: MixtureConfiguration) -> String? {
        configuration.routing == Self.routing ? "top-any" : nil
    }

    /// Half of the experts that there are at the start, and no more than capacity takes.
    public func expectedChoices(_ configuration: MixtureConfiguration, atStratum stratum: Int, isTraining: Bool) -> Double {
        let factor = isTraining ? configuration.capacityFactor : configuration.evaluationCapacityFactor
        let visible = configuration.visibleExperts(atStratum: stratum)
        let half = Double(configuration.initialExperts.count(where: visible.contains)) / 2
        return min(half, factor.map { Double($0) } ?? .infinity)
    }

    /// Best first; of equal logits the lower id first. A token is led by its best-scored expert, above its threshold or not.
    public func choose(_ gate: GateScores) -> RoutingChoices {
        guard let thresholds = gate.thresholds else { preconditionFailure("top-any choice needs a gate with thresholds") }
        let lower = gate.visible.lowerBound
        var choices = RoutingChoices(tokens: gate.tokens, choicesPerToken: (thresholds.count + 1) / 2), chosen: [Int] = []
        for token in 0..<gate.tokens {
            let logits = gate.logits.row(token)
            chosen.removeAll(keepingCapacity: true)
            var best = 0
            for expert in thresholds.indices {
                if logits[expert] > logits[best] { best = expert }
                guard logits[expert] > thresholds[expert] else { continue }
                var place = chosen.count
                while place > 0, logits[expert] > logits[chosen[place - 1]] { place -= 1 }
                chosen.insert(expert, at: place)
            }
            if chosen.isEmpty, !gate.isTraining { chosen.append(best) }
            for expert in chosen { choices.add(lower + expert) }
            choices.endToken(leading: lower + best)
        }
        return choices
    }

    public func gate(of site: GateSite, store: ParameterStore) -> (any Gate)? {
        CosineGate(
            site, scale: settings.scale, diversity: settings.diversity, simplicity: settings.simplicity, store: store)
    }

    public var scoreFunction: (any ScoreFunction)? { LogisticScores() }
    public var weighting: (any ChoiceWeighting)? { EqualWeights(gradient: settings.gateGradient) }
    public var losses: [any RoutingLoss] {
        [ChoiceBalance(weight: settings.balance), ChoiceEfficiency(weight: settings.efficiency)]
    }

    public func figures(_ decision: RoutingDecision) -> [BlockFigure] {
        guard decision.gate.configuration.routing == Self.routing else { return [] }
        let tokens = Float(decision.tokens), choices = Float(decision.experts.count)
        let unrouted = (0..<decision.tokens).count { decision.taken(ofToken: $0).isEmpty }
        func mean(_ sum: Float) -> Float { tokens > 0 ? sum / tokens : 0 }
        return [
            BlockFigure("choices_mean", mean(choices), weight: tokens),
            BlockFigure("unrouted_fraction", mean(Float(unrouted)), weight: tokens),
        ]
    }
}

/// 1 / n for each of a token's n choices, those that a full expert dropped included.
private struct EqualWeights: ChoiceWeighting {
    let gradient: TopAnyChoice.GateGradient

    func weights(_ choices: RoutingChoices, kept: [Bool], _ gate: GateScores) -> [Float] {
        var weights = [Float](repeating: 0, count: kept.count)
        for token in 0..<choices.tokens {
            let range = choices.range(ofToken: token)
            for choice in range where kept[choice] { weights[choice] = 1 / Float(range.count) }
        }
        return weights
    }

    /// dz = q / n, or (q − the mean of q) / n, with q the gradient of a choice's weight.
    func addGradient(_ decision: RoutingDecision, dweights: [Float], to dscores: Tensor) {
        let lower = decision.visible.lowerBound
        for token in 0..<decision.tokens {
            let range = decision.choices(ofToken: token), count = Float(range.count), ds = dscores.row(token)
            func q(_ choice: Int) -> Float { decision.kept[choice] ? dweights[choice] : 0 }
            let mean = gradient == .normalized ? range.reduce(0) { $0 + q($1) } / count : 0
            for choice in range { ds[Int(decision.experts[choice]) - lower] += (q(choice) - mean) / count }
        }
    }
}

/// K Σ_e f_e b_e over the K active experts: b_e the mean of z / n over the tokens with a choice, f_e that of z, which has no
/// gradient. Where experts are of different widths, f_e counts for as much as e is wider than their mean.
private struct ChoiceBalance: RoutingLoss {
    static let figure = "balance"
    static let title = "balance of choices"
    var weight: Float = 0
    var isInUse: Bool { weight > 0 }

    init() {}
    init(weight: Float) { self.weight = weight }

    func value(_ decision: RoutingDecision) -> Float {
        let loads = Loads(decision)
        let sum = (0..<decision.tokens).reduce(0) { $0 + loads.mean(decision.taken(ofToken: $1)) }
        return Float(loads.factor * sum)
    }

    /// K / T (f_e − Σ f z / n) / n where z is 1.
    func addScoreGradient(_ decision: RoutingDecision, scale: Float, to dscores: Tensor) {
        let loads = Loads(decision), factor = Double(scale) * loads.factor
        for token in 0..<decision.tokens {
            let range = decision.taken(ofToken: token), mean = loads.mean(range), ds = dscores.row(token)
            for choice in range {
                ds[loads.expert(choice)] += Float(factor * (loads.frequency(choice) - mean) / Double(range.count))
            }
        }
    }

    private struct Loads {
        private let decision: RoutingDecision
        /// f, [V].
        private var frequencies: [Double]
        /// K / T, with T the tokens that have a choice.
        let factor: Double

        init(_ decision: RoutingDecision) {
            self.decision = decision
            let taken = (0..<decision.tokens).map(decision.taken(ofToken:)).filter { !$0.isEmpty }
            let active = decision.activeExperts
            factor = Double(active.count) / Double(max(taken.count, 1))
            frequencies = [Double](repeating: 0, count: decision.visible.count)
            for choice in taken.joined() { frequencies[expert(choice)] += 1 / Double(taken.count) }
            guard let widths = decision.gate.configuration.expertWidths else { return }
            let total = active.reduce(0) { $0 + widths[decision.visible.lowerBound + $1] }
            for expert in active {
                frequencies[expert] *= Double(active.count * widths[decision.visible.lowerBound + expert]) / Double(total)
            }
        }

        func expert(_ choice: Int) -> Int { Int(decision.experts[choice]) - decision.visible.lowerBound }
        func frequency(_ choice: Int) -> Double { frequencies[expert(choice)] }
        /// Σ_e f_e z_e / n of a token; 0 without choices.
        func mean(_ range: Range<Int>) -> Double {
            range.isEmpty ? 0 : range.reduce(0) { $0 + frequency($1) } / Double(range.count)
        }
    }
}

/// The mean of z over tokens and active experts.
private struct ChoiceEfficiency: RoutingLoss {
    static let figure = "efficiency"
    static let title = "share of experts chosen"
    var weight: Float = 0
    var isInUse: Bool { weight > 0 }

    init() {}
    init(weight: Float) { self.weight = weight }

    func value(_ decision: RoutingDecision) -> Float {
        let taken = (0..<decision.tokens).reduce(0) { $0 + decision.taken(ofToken: $1).count }
        return Float(taken) / Float(max(decision.tokens * decision.activeExperts.count, 1))
    }

    func addScoreGradient(_ decision: RoutingDecision, scale: Float, to dscores: Tensor) {
        let share = scale / Float(max(decision.tokens * decision.activeExperts.count, 1))
        for (token, expert) in zip(decision.choiceTokens, decision.experts) {
            dscores[Int(token), Int(expert) - decision.visible.lowerBound] += share
        }
    }
}

extension RoutingDecision {
    /// The choices of a token whose thresholds it exceeds: all, but for the one in evaluation of a token that no expert takes.
    fileprivate func taken(ofToken token: Int) -> Range<Int> {
        let range = choices(ofToken: token)
        guard let thresholds = gate.thresholds, let first = range.first else { return range }
        let expert = Int(experts[first]) - visible.lowerBound
        return gate.logits[token, expert] > thresholds[expert] ? range : first..<first
    }

    /// The experts of the gate that may be chosen, columns of the scores; none for no tokens.
    fileprivate var activeExperts: [Int] { tokens == 0 ? [] : (0..<visible.count).filter { gate.logits[0, $0] != -.infinity } }
}
