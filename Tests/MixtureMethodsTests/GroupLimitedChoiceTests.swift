import Autograd
import MixtureMethods
import MixtureOfExperts
import TensorCore
import Testing
import _TestSupport

/// Group-limited choice, by hand, against a naive twin, and on several ranks.
@Suite(.hangLimit) struct GroupLimitedChoiceTests {
    private static func configuration(
        _ strata: [Int], count: Int, chosen: Int, k: Int = 2, policy: SecondExpertPolicy = .best
    ) -> MixtureConfiguration {
        var configuration = WrittenMixture.mixture(strata, ["second_expert": "\"\(policy.rawValue)\""])
        configuration[TestBalance.self] = TestBalance()
        var groups = GroupLimitedChoice.Groups()
        (groups.count, groups.chosen) = (count, chosen)
        configuration[GroupLimitedChoice.self].groups = groups
        (configuration.topK, configuration.capacityFactor) = (k, nil)
        return configuration
    }

    /// Routes at the gate of a stratum.
    private static func route(
        _ scores: [[Float]], _ configuration: MixtureConfiguration, stratum: Int = 0
    ) throws -> RoutingDecision {
        let context = ComputeContext(threads: 1)
        let gate = GateSite(name: "gate", configuration: configuration, stratum: stratum, dim: 1)
        let limit = try #require(
            configuration[GroupLimitedChoice.self].adjustment(of: gate, store: ParameterStore()))
        return StratifiedRouter(gate, adjustments: [limit]).route(
            context, logits: context.tensor(scores.flatMap { $0 }, rows: scores.count, columns: gate.visible.count),
            rows: scores.indices.map { Int32($0) }, key: RandomKey(seed: 1), isTraining: true)
    }

    /// Experts 0, 1 and 2, 3 of one stratum: the second best expert is in the other group.
    @Test func onlyTheBestGroupsAreChosenFrom() throws {
        let tokens: [[Float]] = [[3, 0, 2, 1], [0, 1, 3, 2], [1, 1, 1, 1]]
        let one = try Self.route(tokens, Self.configuration([4], count: 2, chosen: 1))
        #expect(one.expertsByToken == [[0, 1], [2, 3], [0, 1]] && one.leading == [0, 2, 0], "equal groups: the lower")
        let both = try Self.route(tokens, Self.configuration([4], count: 2, chosen: 2))
        #expect(both.expertsByToken == [[0, 2], [2, 3], [0, 1]])
        // Weights are those of the scores of all.
        try expectClose(
            both.gate.scores.elements, one.gate.scores.elements, tolerance: 1e-7, "scores are not adjusted")
    }

    /// Of strata 2-4 group 0 holds experts 0, 2, 3 and group 1 experts 1, 4, 5; the second gate sees 2, 3 and 4, 5.
    @Test func groupsArePartsOfEveryStratum() throws {
        let configuration = Self.configuration([2, 4], count: 2, chosen: 1, k: 3)
        #expect(
            try Self.route([[0, 9, 8, 7, 6, 5], [0, 1, 9, 8, 2, 3]], configuration).expertsByToken == [[1, 4, 5], [2, 3, 0]])
        // Two experts of a group are all that the second gate leaves.
        #expect(try Self.route([[0, 1, 9, 8]], configuration, stratum: 1).expertsByToken == [[4, 5]])
    }

    /// The twin: sorts groups by their best score, then the experts of those chosen.
    @Test(arguments: [(1, 1), (2, 1), (2, 2), (3, 1), (3, 2), (6, 2), (6, 5)], SecondExpertPolicy.allCases)
    func choicesAreThoseOfTheTwin(groups: (count: Int, chosen: Int), policy: SecondExpertPolicy) throws {
        let strata = [6, 12], k = 2, tokens = 60
        let configuration = Self.configuration(strata, count: groups.count, chosen: groups.chosen, k: k, policy: policy)
        for stratum in strata.indices {
            let visible = configuration.visibleExperts(atStratum: stratum), stratumOfExpert = configuration.stratumOfExpert
            func group(_ expert: Int) -> Int {
                let stratum = stratumOfExpert[expert], first = strata[..<stratum].reduce(0, +)
                return (expert - first) * groups.count / strata[stratum]
            }
            let values = normalValues(tokens * visible.count, seed: UInt64(stratum + 1))
            let scores = (0..<tokens).map { Array(values[$0 * visible.count..<($0 + 1) * visible.count]) }
            let decision = try Self.route(scores, configuration, stratum: stratum)
            for (token, row) in scores.enumerated() {
                func score(_ expert: Int) -> Float { row[expert - visible.lowerBound] }
                let best = (0..<groups.count).sorted { a, b in
                    let scores = [a, b].map { group_ in visible.filter { group($0) == group_ }.map(score).max()! }
                    return (scores[0], b) > (scores[1], a)
                }.prefix(groups.chosen)
                let allowed = visible.filter { best.contains(group($0)) }.sorted { score($0) > score($1) }
                let experts = decision.expertsByToken[token].map { Int($0) }
                #expect(experts[0] == allowed[0] && Set(experts).isSubset(of: allowed) && Set(experts).count == experts.count)
                if policy == .best { #expect(experts == Array(allowed.prefix(k))) }
                if policy == .sampling { #expect(experts.count == min(k, allowed.count)) }
            }
        }
    }

    /// With as many groups as places, a token's rows go to no more places than it may choose groups.
    @Test func groupsAreThoseOfThePlaces() throws {
        let strata = [4, 8], configuration = Self.configuration(strata, count: 4, chosen: 2, k: 4)
        let placement = ExpertPlacement(strata: strata, places: 4)
        let values = normalValues(50 * 12, seed: 3)
        let decision = try Self.route((0..<50).map { Array(values[$0 * 12..<($0 + 1) * 12]) }, configuration)
        let places = decision.expertsByToken.map { Set($0.map { placement.placeOfExpert[Int($0)] }).count }
        #expect(places.max() == 2 && decision.experts.count == 200)
    }

    @Test func gradientsAgreeWithDifferences() throws {
        for policy in SecondExpertPolicy.allCases {
            var configuration = Self.configuration([2, 4], count: 2, chosen: 1, policy: policy)
            configuration.capacityFactor = 1
            try BlockGradients.check(configuration, dropout: 0.1, tolerance: 1e-2, "\(policy)")
        }
    }

    @Test(arguments: [2, 4]) func manyRanksAreOne(ranks: Int) throws {
        for policy in SecondExpertPolicy.allCases {
            var configuration = Self.configuration([4, 6], count: 2, chosen: 1, k: 3, policy: policy)
            configuration.capacityFactor = 1
            try BlockWorld(ranks: ranks, strata: [4, 6], expertParallel: 2).expectOneRank(configuration)
        }
    }

    @Test func evaluationKnowsNoCompany() throws {
        try expectEvaluationKnowsNoCompany(Self.configuration([2, 4], count: 2, chosen: 1))
    }

    @Test func keys() throws {
        let read = try WrittenMixture.read(#"{"strata": [4, 8], "expert_groups": {"count": 4, "chosen": 2}}"#)
        #expect(read[GroupLimitedChoice.self].groups?.count == 4 && read.additions == ["2 of 4 groups"])
        #expect(try WrittenMixture.isReadAgain(read))
        #expect(!WrittenMixture.keys(MixtureConfiguration(strata: [4])).contains("expert_groups"))
        for (keys, problem) in [
            (
                #""strata": [4, 6], "expert_groups": {"count": 4, "chosen": 2}"#,
                "moe.expert_groups.count must divide every stratum"
            ),
            (#""strata": [4], "expert_groups": {"count": 2, "chosen": 3}"#, "moe.expert_groups.chosen must be at most"),
            (#""strata": [4], "expert_groups": {"count": 2}"#, "moe.expert_groups.chosen is required"),
            (#""strata": [4], "top_k": 3, "expert_groups": {"count": 2, "chosen": 1}"#, "moe.top_k must be at most 2"),
            (
                #""strata": [4], "routing": "expert_choice", "expert_groups": {"count": 2, "chosen": 1}"#,
                "moe.expert_groups must be none with moe.routing: expert_choice"
            ),
        ] {
            #expect(WrittenMixture.problem("{\(keys)}").contains(problem), "\(WrittenMixture.problem("{\(keys)}"))")
        }
    }
}
