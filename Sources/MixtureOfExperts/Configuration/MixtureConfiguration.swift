/// How the weights of a token's experts are normalised where it may have several. A single one has its bare score.
public enum GateNormalization: String, CaseIterable, Sendable {
    /// Weights over the sum of the choices that were kept; 0 if all were dropped.
    case afterDrop = "after_drop"
    /// Weights over the sum of all choices, before dropping.
    case beforeDrop = "before_drop"
    /// The bare scores, equation (6).
    case never
}

/// The order in which strata are passed.
public enum StrataOrder: Sendable {
    /// A gate sees its own and all later strata, and a token goes on behind the stratum of its leading expert.
    case stratified
    /// Every token passes all strata, and a gate sees its own alone.
    case stacked
}

/// A stratified mixture of experts; with one stratum, a plain mixture (vanilla with `topK` 2, Switch with 1). What methods add to
/// it is in their own values, by type: `configuration[SharedExperts.self].count = 2`.
public struct MixtureConfiguration: Sendable {
    /// Every how many layers the feed-forward network is a mixture: 2 means layers 2, 4, 6, …
    public var every = 2
    /// The number of experts in each stratum, first to last; of the encoder's blocks alone where the decoder's have others.
    public var strata: [Int]
    /// The same of the decoder's blocks, of as many strata; nil: as the encoder's.
    public var decoderStrata: [Int]?
    /// The name of the routing rule among the methods: `RoutingRule.routing`.
    public var routing: String
    /// k, the choices of a token at a gate, where its rule does not say otherwise: at most the experts that the gate sees.
    public var topK = 2
    /// An expert takes at most this × ceil(tokens / visible experts) choices; nil is dropless.
    public var capacityFactor: Float? = 2
    /// The capacity factor of evaluation; nil, the default, is dropless.
    public var evaluationCapacityFactor: Float?
    /// Whose choices a full expert keeps.
    public var capacityPriority = CapacityPriority.tokenOrder
    public var gateNormalization = GateNormalization.afterDrop
    /// Whether what each stratum but the first adds to its tokens is multiplied by a number that is learned. At 0 a block is its
    /// first stratum: so a dense network that is copied into several strata stays the same function. Parameters
    /// `<block>.scales.{s}`.
    public var scalesStrata = false
    /// All methods that a configuration may use, in the order in which the frame asks them.
    public internal(set) var methods: [any MixtureMethod]

    /// `methods` holds at least one routing rule; the first is the default.
    public init(strata: [Int], methods: [any MixtureMethod]) {
        guard let rule = methods.lazy.compactMap({ $0 as? any RoutingRule }).first else {
            preconditionFailure("a mixture needs a routing rule among its methods")
        }
        self.strata = strata
        self.methods = methods
        routing = type(of: rule).routing
    }

    /// A method's values. One that is not in the list yet is added to its end when it is set.
    public subscript<Method: MixtureMethod>(_ type: Method.Type) -> Method {
        get { methods.lazy.compactMap { $0 as? Method }.first ?? Method() }
        set {
            if let index = methods.firstIndex(where: { $0 is Method }) {
                methods[index] = newValue
            } else {
                methods.append(newValue)
            }
        }
    }

    /// The methods that answer one of the frame's questions.
    public func methods<Question>(for question: Question.Type) -> [Question] { methods.compactMap { $0 as? Question } }

    /// The routing rules' names.
    public var routings: [String] { methods.compactMap { ($0 as? any RoutingRule).map { type(of: $0).routing } } }

    /// The rule that `routing` names.
    public var rule: any RoutingRule {
        for case let rule as any RoutingRule in methods where type(of: rule).routing == routing { return rule }
        preconditionFailure("routing must be one of \(routings), but is \(routing)")
    }

    public var strataOrder: StrataOrder {
        for case let method as any OrderingMethod in methods { if let order = method.strataOrder { return order } }
        return .stratified
    }

    /// Whether a method learns from how often experts were chosen, block by block and world-wide.
    public var learnsFromLoads: Bool { methods(for: (any SelectionMethod).self).contains { $0.learnsFromLoads } }

    /// The hidden widths of the experts, by global id, where a method says what they are.
    public var expertWidths: [Int]? { methods(for: (any ExpertMethod).self).lazy.compactMap { $0.widths(self) }.first }

    /// The rows that experts see for a row of a block: parts of it, of equal width.
    public var rowsPerToken: Int { methods(for: (any WrappingMethod).self).reduce(1) { $0 * $1.rowsPerToken } }

    public var experts: Int { strata.reduce(0, +) }
    /// Strata of the experts, by global id.
    public var stratumOfExpert: [Int] { strata.enumerated().flatMap { Array(repeating: $0.offset, count: $0.element) } }

    /// The capacity factor that tokens' choices meet in training; nil: nothing is dropped there, or experts choose.
    public var trainingCapacityFactor: Float? { rule.choicesQueue ? capacityFactor : nil }

    /// The global ids of the experts that the gate of a stratum sees, V_i of them: its own and all later ones; of stacked
    /// mixtures, its own.
    public func visibleExperts(atStratum stratum: Int) -> Range<Int> {
        let first = strata[..<stratum].reduce(0, +)
        return first..<(strataOrder == .stacked ? first + strata[stratum] : experts)
    }
}

extension MixtureConfiguration: Equatable {
    public static func == (left: MixtureConfiguration, right: MixtureConfiguration) -> Bool {
        left.every == right.every && left.strata == right.strata && left.decoderStrata == right.decoderStrata
            && left.routing == right.routing
            && left.topK == right.topK && left.capacityFactor == right.capacityFactor
            && left.evaluationCapacityFactor == right.evaluationCapacityFactor
            && left.capacityPriority == right.capacityPriority && left.gateNormalization == right.gateNormalization
            && left.scalesStrata == right.scalesStrata
            && left.methods.count == right.methods.count
            && zip(left.methods, right.methods).allSatisfy { $0.isEqual(to: $1) }
    }
}

extension MixtureMethod {
    fileprivate func isEqual(to other: any MixtureMethod) -> Bool { self == other as? Self }
}

/// A method that has the strata passed in another order.
public protocol OrderingMethod: MixtureMethod {
    /// The method's order; nil where the configuration makes no use of it.
    var strataOrder: StrataOrder? { get }
    /// What a model of these strata is called, such as "stacking 2 × 4".
    func name(strata: [Int]) -> String
}
