import Autograd
import ConfigurationForms
import MixtureOfExperts
import TensorCore

/// Group-limited choice ("DeepSeek-V2", arXiv 2405.04434): each stratum's experts stand in groups of equal size, and a token may
/// choose only from those groups whose best expert it scores highest. Group g holds the g-th part of every stratum, as a place of
/// an expert-parallel group does: with as many groups as places, a token's rows travel to as many places as it may choose from.
public struct GroupLimitedChoice: SelectionMethod {
    public struct Groups: Equatable, Sendable {
        public var count = 1
        /// Those that a token may choose from.
        public var chosen = 1

        public init() {}
    }

    /// nil: a token may choose from all that its gate sees.
    public var groups: Groups?

    public init() {}

    public static var fields: [ConfigurationField<Self>] {
        let groups = ConfigurationForm<Groups>.section(
            [
                .init("count", \.count, .integer(1...65_536), isRequired: true),
                .init("chosen", \.chosen, .integer(1...65_536), isRequired: true),
            ], over: Groups())
        return [.init("expert_groups", \.groups, .either("none", or: groups), isWritten: { $0.groups != nil })]
    }

    public func validate(_ configuration: MixtureConfiguration, _ path: String, _ problems: ConfigurationProblems) {
        guard let groups else { return }
        let key = "\(path).expert_groups", strata = configuration.strata
        problems.require(
            strata.allSatisfy { $0 % groups.count == 0 }, "\(key).count", "\(path).strata",
            text:
                "must divide every stratum of \(path).strata, \(strata), for groups are equal parts of each, but is \(groups.count)"
        )
        problems.require(
            groups.chosen <= groups.count, "\(key).chosen", "\(key).count",
            text: "must be at most \(key).count, \(groups.count), but is \(groups.chosen)")
        problems.require(
            configuration.rule.readsSelection, key, "\(path).routing",
            text: "must be none with \(path).routing: \(configuration.routing), for it limits what tokens choose")
        // A gate that sees fewer leaves fewer.
        let most = strata.indices.map { configuration.visibleExperts(atStratum: $0).count }.max() ?? 0
        let left = most / groups.count * groups.chosen
        problems.require(
            configuration.topK <= left, "\(path).top_k", key,
            text: "must be at most \(left), which \(key) leaves a token to choose from, but is \(configuration.topK)")
    }

    public func addition(to configuration: MixtureConfiguration) -> String? {
        groups.map { "\($0.chosen) of \($0.count) groups" }
    }

    public var learnsFromLoads: Bool { false }

    public func adjustment(of gate: GateSite, store: ParameterStore) -> (any SelectionAdjustment)? {
        groups.map { GroupLimit(gate, $0) }
    }
}

private struct GroupLimit: SelectionAdjustment {
    let groups: GroupLimitedChoice.Groups
    /// By column of the scores.
    let groupOfExpert: [Int]

    init(_ gate: GateSite, _ groups: GroupLimitedChoice.Groups) {
        self.groups = groups
        groupOfExpert = Array(
            gate.configuration.strata.flatMap { size in (0..<size).map { $0 * groups.count / size } }[gate.visible])
    }

    /// Experts of all but the best groups are at −∞; of groups that are equal the lower number is the better.
    func adjust(_ selection: Tensor, _ gate: GateSite) {
        var best = [Float](repeating: 0, count: groups.count), isChosen = [Bool](repeating: false, count: groups.count)
        for token in 0..<selection.rows {
            let row = selection.row(token)
            for group in best.indices { (best[group], isChosen[group]) = (-.infinity, false) }
            for (expert, group) in groupOfExpert.enumerated() { best[group] = max(best[group], row[expert]) }
            for _ in 0..<groups.chosen {
                var next = -1
                for group in best.indices where !isChosen[group] && (next < 0 || best[group] > best[next]) { next = group }
                isChosen[next] = true
            }
            for (expert, group) in groupOfExpert.enumerated() where !isChosen[group] { row[expert] = -.infinity }
        }
    }
}
