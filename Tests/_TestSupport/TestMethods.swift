import Autograd
import ConfigurationForms
import Foundation
import MixtureOfExperts
import TensorCore

// Methods that no library has: what tests of the frame put into its questions.

/// Token choice without draws.
public struct BestChoice: RoutingRule {
    public static let routing = "best"

    public init() {}

    public func choose(_ gate: GateScores) -> RoutingChoices {
        gate.bestChoices(min(gate.configuration.topK, gate.visible.count))
    }
}

/// Each token has from none to k choices, as many as are drawn for it, the best ones. A token of an even number of choices goes on
/// by the expert that it scores worst, chosen or not.
public struct RaggedChoice: RoutingRule {
    public static let routing = "ragged"

    public init() {}

    public func choose(_ gate: GateScores) -> RoutingChoices {
        let count = gate.visible.count, k = min(gate.configuration.topK, count), order = gate.bestChoices(count)
        var choices = RoutingChoices(tokens: gate.tokens, choicesPerToken: k)
        for token in 0..<gate.tokens {
            let wanted = Int(gate.key.derived(1000 + Int(gate.rows[token])).uniform(0) * Float(k + 1))
            let experts = order.experts[order.range(ofToken: token)]
            for expert in experts.prefix(wanted) { choices.add(Int(expert)) }
            choices.endToken(leading: Int(wanted % 2 == 0 ? experts.last! : experts.first!))
        }
        return choices
    }
}

/// What is written down: global ids by token, best first, and the leading one apart.
public struct ScriptedChoice: RoutingRule {
    public static let routing = "scripted"
    public var experts: [[Int]] = []
    public var leading: [Int] = []

    public init() {}
    public init(_ experts: [[Int]], leading: [Int]) {
        self.experts = experts
        self.leading = leading
    }

    public func choose(_ gate: GateScores) -> RoutingChoices {
        var choices = RoutingChoices(tokens: experts.count, choicesPerToken: 2)
        for (experts, leading) in zip(experts, leading) {
            for expert in experts { choices.add(expert) }
            choices.endToken(leading: leading)
        }
        return choices
    }
}

/// Scores e^logit, which do not add up to 1.
public struct ExponentialScores: ScoringMethod, ScoreFunction {
    public var isOn = false
    public var scoreFunction: (any ScoreFunction)? { isOn ? self : nil }
    public var addsUpToOne: Bool { false }

    public init() {}
    public init(isOn: Bool) { self.isOn = isOn }

    public func forward(_ logits: Tensor, into scores: Tensor) {
        for index in 0..<logits.count { scores.pointer[index] = exp(logits.pointer[index]) }
    }

    public func backward(scores: Tensor, gradient: Tensor) {
        for index in 0..<scores.count { gradient.pointer[index] *= scores.pointer[index] }
    }
}

/// V Σ_e f_e p̄_e, a loss of the shares p: f_e is the fraction of the tokens that e leads, p̄_e the mean share.
public struct TestBalance: RoutingLoss {
    public static let figure = "test_balance"
    public static let title = "balance"
    public var weight: Float = 1
    public var isInUse: Bool { weight > 0 }

    public init() {}
    public init(weight: Float) { self.weight = weight }

    public func value(_ decision: RoutingDecision) -> Float {
        let fractions = decision.leadingFractions
        let sum = (0..<decision.tokens).reduce(0 as Float) { sum, token in
            fractions.indices.reduce(sum) { $0 + fractions[$1] * decision.gate.shares[token, $1] }
        }
        return Float(fractions.count) * sum / Float(max(decision.tokens, 1))
    }

    public func addShareGradient(_ decision: RoutingDecision, scale: Float, to dshares: Tensor) {
        let fractions = decision.leadingFractions
        for token in 0..<decision.tokens {
            for expert in fractions.indices {
                dshares[token, expert] += scale * Float(fractions.count) * fractions[expert] / Float(decision.tokens)
            }
        }
    }
}

/// Reports the mean number of a token's choices, where it is on.
public struct ChoicesFigure: MixtureMethod {
    public var isOn = false

    public init() {}
    public init(isOn: Bool) { self.isOn = isOn }

    public func figures(_ decision: RoutingDecision) -> [BlockFigure] {
        let choices = Float(decision.experts.count), tokens = Float(decision.tokens)
        return isOn ? [BlockFigure("test_choices", tokens > 0 ? choices / tokens : 0, weight: tokens)] : []
    }
}

/// The mean square of the logits, a loss that does not pass through the scores.
public struct LogitSize: RoutingLoss {
    public static let figure = "logit_size"
    public static let title = "logits"
    public var weight: Float = 0
    public var isInUse: Bool { weight > 0 }

    public init() {}
    public init(weight: Float) { self.weight = weight }

    public func value(_ decision: RoutingDecision) -> Float {
        decision.gate.logits.elements.reduce(0) { $0 + $1 * $1 } / Float(max(decision.gate.logits.count, 1))
    }

    public func addLogitGradient(_ decision: RoutingDecision, scale: Float, to dlogits: Tensor) {
        let logits = decision.gate.logits
        for index in 0..<logits.count { dlogits.pointer[index] += scale * 2 * logits.pointer[index] / Float(logits.count) }
    }
}

/// Strata in a given order.
public struct TestOrder: OrderingMethod {
    public var strataOrder: StrataOrder?

    public init() {}
    public init(_ order: StrataOrder?) { strataOrder = order }

    public func name(strata: [Int]) -> String { "test" }
}

/// Feed-forward experts that are wider the higher their id: expert e has e · `step` units more than a block's feed-forward network.
/// Or of given widths, by id.
public struct UnequalExperts: ExpertMethod {
    public var step = 0
    public var widths: [Int] = []

    public init() {}
    public init(step: Int) { self.step = step }

    public func widths(_ configuration: MixtureConfiguration) -> [Int]? { widths.isEmpty ? nil : widths }

    public func expert(_ id: Int, name: String, of block: BlockSite, store: ParameterStore) -> (any ExpertNetwork)? {
        step == 0 ? nil : FeedForwardExpert(name: name, dim: block.dim, ffnDim: block.ffnDim + id * step, store: store)
    }
}
