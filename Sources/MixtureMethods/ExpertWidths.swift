import ConfigurationForms
import MixtureOfExperts
import TensorCore

/// Experts of different hidden widths (HMoE, "Heterogeneous Mixture of Experts for Language Modeling", arXiv 2408.10681). Routing
/// is any; `width_penalty` keeps tokens from all going to the widest. Places of an expert-parallel group host about equal widths.
public struct ExpertWidths: ExpertMethod {
    public enum Widths: Equatable, Sendable {
        /// By global expert id, by stratum, or one for all.
        case list([Int])
        case ratios(Ratios)
    }

    /// Widths by their ratios, of a total that all experts share.
    public struct Ratios: Equatable, Sendable {
        /// By global expert id, or by stratum.
        public var ratios: [Float] = []
        /// Of all experts together.
        public var total = 0
        /// What every width is a multiple of.
        public var multiple = 8

        public init() {}
    }

    /// nil: `model.ffn_dim` for each.
    public var widths: Widths?

    public init() {}

    public static var fields: [ConfigurationField<Self>] {
        [.init("expert_widths", \.widths, .either("none", or: Widths.form), isWritten: { $0.widths != nil })]
    }

    public func validate(_ configuration: MixtureConfiguration, _ path: String, _ problems: ConfigurationProblems) {
        let key = "\(path).expert_widths", experts = configuration.experts, strata = configuration.strata.count
        switch widths {
        case nil: return
        case .list(let list):
            problems.require(
                [1, strata, experts].contains(list.count), key, "\(path).strata",
                text: "must be one number, one for each of the \(strata) strata or one for each of the \(experts) experts, "
                    + "but is a list of \(list.count)")
        case .ratios(let ratios):
            problems.require(
                [strata, experts].contains(ratios.ratios.count), "\(key).ratios", "\(path).strata",
                text: "must have a number for each of the \(strata) strata or for each of the \(experts) experts, but has "
                    + "\(ratios.ratios.count)")
            problems.require(
                ratios.total % ratios.multiple == 0, "\(key).total", "\(key).multiple",
                text: "must be a multiple of \(key).multiple, \(ratios.multiple), but is \(ratios.total)")
            let narrowest = widths(configuration)?.min() ?? 1
            problems.require(
                narrowest > 0, "\(key).ratios", "\(key).total", "\(key).multiple",
                text:
                    "must leave every expert a width of at least \(key).multiple, \(ratios.multiple), but leave one of them 0: "
                    + "make the ratios more equal, or the total larger")
        }
    }

    public func addition(to configuration: MixtureConfiguration) -> String? {
        guard let widths = widths(configuration), let least = widths.min(), let most = widths.max() else { return nil }
        return least == most ? "experts of width \(least)" : "experts of widths \(least) to \(most)"
    }

    public func widths(_ configuration: MixtureConfiguration) -> [Int]? {
        switch widths {
        case nil: nil
        case .list(let list): Self.byExpert(list, configuration)
        case .ratios(let ratios): Self.byExpert(ratios.ratios, configuration).map { Self.rounded($0, ratios) }
        }
    }

    /// One value for all, by stratum or by expert; nil for any other number of them.
    private static func byExpert<Value>(_ values: [Value], _ configuration: MixtureConfiguration) -> [Value]? {
        switch values.count {
        case configuration.experts: values
        case configuration.strata.count: configuration.stratumOfExpert.map { values[$0] }
        case 1: configuration.stratumOfExpert.map { _ in values[0] }
        default: nil
        }
    }

    /// Of total / multiple units each gets its share, rounded down; those left go one each to the largest fractions, of equal ones
    /// to the lower id.
    private static func rounded(_ ratios: [Float], _ sizes: Ratios) -> [Int] {
        let units = sizes.total / sizes.multiple, sum = ratios.reduce(0.0) { $0 + Double($1) }
        let shares = ratios.map { Double(units) * Double($0) / sum }
        var parts = shares.map { Int($0.rounded(.down)) }
        let order = parts.indices.sorted { (shares[$0] - Double(parts[$0]), $1) > (shares[$1] - Double(parts[$1]), $0) }
        for expert in order.prefix(units - parts.reduce(0, +)) { parts[expert] += 1 }
        return parts.map { $0 * sizes.multiple }
    }

    /// The hidden width that a token's experts have together at a gate, those that dropped it not counted.
    public func figures(_ decision: RoutingDecision) -> [BlockFigure] {
        guard let widths = widths(decision.gate.configuration) else { return [] }
        let tokens = Float(decision.tokens)
        let sum = zip(decision.experts, decision.kept).reduce(0) { $0 + ($1.1 ? widths[Int($1.0)] : 0) }
        return [BlockFigure("expert_width_mean", tokens > 0 ? Float(sum) / tokens : 0, weight: tokens)]
    }
}

extension ExpertWidths.Widths {
    /// A list of widths, a single one, or a map of ratios.
    fileprivate static var form: ConfigurationForm<Self> {
        let width = 1...1_048_576
        let list = ConfigurationForm<[Int]>.listOrOne(of: .integer(width), count: 1...65_536)
        let ratios = ConfigurationForm<ExpertWidths.Ratios>.section(
            [
                .init("ratios", \.ratios, .list(of: .number(.above(0)), count: 1...65_536), isRequired: true),
                .init("total", \.total, .integer(1...1_073_741_824), isRequired: true),
                .init("multiple", \.multiple, .integer(width)),
            ], over: ExpertWidths.Ratios())
        return ConfigurationForm(
            allowed: "\(list.allowed), or \(ratios.allowed)", keys: ratios.keys,
            read: { node, path, problems in
                if case .map = node.content { return ratios.read(node, path, problems).map(Self.ratios) }
                return list.read(node, path, problems).map(Self.list)
            },
            write: { widths in
                switch widths {
                case .list(let values): list.write(values)
                case .ratios(let values): ratios.write(values)
                }
            })
    }
}
