/// How a token's second expert is chosen (k = 2). In evaluation it is always `best`.
public enum SecondExpertPolicy: String, CaseIterable, Sendable {
    /// The next best score.
    case best
    /// The best of logit + Gumbel noise over the experts that are not the first choice.
    case sampling
    /// The next best, kept with probability min(1, 2 p).
    case random
}

/// How the weights of a token's experts are normalised (k = 2). With k = 1 the weight is always the bare probability.
public enum GateNormalization: String, CaseIterable, Sendable {
    /// Over the choices that were kept; 0 if both were dropped.
    case afterDrop = "after_drop"
    /// Over both choices, before dropping.
    case beforeDrop = "before_drop"
    /// The bare probabilities, equation (6).
    case never
}

/// Conditional MoE routing (CMR): a gate mixes a shared feed-forward network with the experts.
public struct ConditionalRouting: Equatable, Sendable {
    /// The share of the experts that the budget loss draws the gate's mean to.
    public var budget: Float = 0.8
    /// The weight of the budget loss.
    public var weight: Float = 0.01
    /// The probability that a token's gate is 0 in training: the token takes the shared network alone. In evaluation gates are
    /// multiplied by 1 minus it.
    public var gateDropout: Float = 0.1

    public init() {}
}

/// A stratified mixture of experts; with one stratum, a plain mixture (vanilla with `topK` 2, Switch with 1).
public struct MixtureConfiguration: Equatable, Sendable {
    /// Every how many layers the feed-forward network is a mixture: 2 means layers 2, 4, 6, …
    public var every = 2
    /// The number of experts in each stratum, first to last.
    public var strata: [Int]
    /// How many experts see a token in one stratum: 1 or 2.
    public var topK = 2
    /// An expert takes at most this × ceil(tokens / visible experts) choices; nil is dropless.
    public var capacityFactor: Float? = 2
    /// The capacity factor of evaluation; nil, the default, is dropless.
    public var evaluationCapacityFactor: Float?
    public var secondExpert = SecondExpertPolicy.sampling
    public var gateNormalization = GateNormalization.afterDrop
    /// α, the weight of the load-balancing loss (8–11).
    public var auxiliaryLossWeight: Float = 0.01
    /// The probability that an expert's output for a token is zeroed in training (EOM).
    public var expertOutputMasking: Float = 0

    /// Whether the strata are plain mixtures one after another, without LayerNorm and residual between them: every token passes
    /// all of them, and a gate sees its own stratum alone.
    public var stacked = false
    /// A shared network and a gate that mixes it with the experts; nil: none.
    public var conditionalRouting: ConditionalRouting?
    public var routing = RoutingRule.tokenChoice
    /// Whether a full expert keeps the choices of highest probability instead of the first in token order.
    public var batchPrioritized = false
    /// The weight of the router z-loss.
    public var routerZLoss: Float = 0
    /// What an expert's selection bias changes by after an update, against its load; 0: there are no such biases.
    public var biasBalancingRate: Float = 0
    /// Feed-forward networks beside the experts that every token takes.
    public var sharedExperts = 0
    /// The probability that a block's experts are left out for a token group in training.
    public var gatingDropout: Float = 0

    public init(strata: [Int]) { self.strata = strata }

    public var experts: Int { strata.reduce(0, +) }
    /// By global expert id.
    public var stratumOfExpert: [Int] { strata.enumerated().flatMap { Array(repeating: $0.offset, count: $0.element) } }

    /// The capacity factor that tokens' choices meet in training; nil: nothing is dropped there, or experts choose.
    public var trainingCapacityFactor: Float? { routing == .expertChoice ? nil : capacityFactor }

    /// The global ids of the experts that the gate of a stratum sees, V_i of them: its own and all later ones; of stacked
    /// mixtures, its own.
    public func visibleExperts(atStratum stratum: Int) -> Range<Int> {
        let first = strata[..<stratum].reduce(0, +)
        return first..<(stacked ? first + strata[stratum] : experts)
    }
}
