import MixtureMethods
import MixtureOfExperts
import Testing
import _TestSupport

/// Methods together, two by two. They are named by their keys: those of a method that the library does not have are left out.
@Suite(.hangLimit) struct CombinationTests {
    struct Option: Sendable {
        /// The keys of `model.moe` and their values.
        let keys: [String: String]
        /// Figures of wrappers that are losses, and their weights.
        var figureWeights: [String: Float] = [:]
        /// Whether differences are the gradients: not of a step that backward takes for something else.
        var isSmooth = true
    }

    static let options = [
        Option(keys: ["second_expert": #""random""#, "top_k": "3"]),
        Option(keys: ["routing": #""expert_choice""#]),
        Option(keys: ["routing": #""forced_balanced""#]),
        Option(keys: ["capacity_priority": #""own_probability""#, "capacity_factor": "0.7"]),
        Option(keys: ["expert_output_masking": "0.2"]),
        Option(keys: ["gating_dropout": "0.02"]),
        Option(keys: ["shared_experts": "1"]),
        Option(
            keys: ["conditional_routing": #"{"budget": 0.05, "weight": 0.7, "gate_dropout": 0.3}"#],
            figureWeights: ["budget": 0.7]),
        Option(keys: ["stacked": "true"]),
        Option(keys: ["bias_balancing_rate": "0.1", "second_expert": #""best""#]),
        Option(keys: ["router_z_loss": "0.5"]),
        Option(keys: ["score": #""sigmoid""#]),
        Option(keys: ["routing": #""top_p""#, "top_p": "0.6"]),
        Option(keys: ["routing": #""top_any""#, "top_any": #"{"scale": 3, "balance": 0.5}"#], isSmooth: false),
        Option(keys: ["expert_widths": "9"]),
        Option(keys: ["width_penalty": #"{"weight": 0.5}"#]),
        Option(keys: ["heads": "2"]),
        Option(keys: ["adapters": #"{"dim": 3}"#]),
        Option(keys: ["combine": #""sum""#, "input": #""entry""#, "gate_normalization": #""never""#]),
        Option(keys: ["gate": #""mlp""#]),
        Option(keys: ["mpo": "{}"]),
    ].filter { option in option.keys.keys.allSatisfy(WrittenMixture.form.keys("").contains) }

    struct Pair: Sendable, CustomStringConvertible {
        let keys: [String: String]
        let figureWeights: [String: Float]
        let isSmooth: Bool
        var description: String { keys.sorted { $0.key < $1.key }.map { "\($0.key): \($0.value)" }.joined(separator: ", ") }

        init?(_ first: Option, _ second: Option) {
            keys = first.keys.merging(second.keys) { $1 }
            figureWeights = first.figureWeights.merging(second.figureWeights) { $1 }
            isSmooth = first.isSmooth && second.isSmooth
            guard keys.count == first.keys.count + second.keys.count, WrittenMixture.problem(json([2, 3])) == "" else {
                return nil
            }
        }

        private func json(_ strata: [Int]) -> String {
            "{" + (["\"strata\": \(strata)"] + keys.map { "\"\($0.key)\": \($0.value)" }).joined(separator: ", ") + "}"
        }

        func configuration(_ strata: [Int]) throws -> MixtureConfiguration {
            var configuration = try WrittenMixture.read(json(strata))
            if keys["capacity_factor"] == nil { configuration.capacityFactor = 1 }
            configuration[TestBalance.self] = TestBalance()
            return configuration
        }
    }

    /// Those that go together.
    static let pairs = options.indices.flatMap { first in
        options[(first + 1)...].compactMap { Pair(options[first], $0) }
    }

    @Test func thereAreMany() { #expect(Self.pairs.count > 2 * Self.options.count) }

    @Test(arguments: pairs.filter(\.isSmooth)) func gradientsAgreeWithDifferences(pair: Pair) throws {
        try BlockGradients.check(
            try pair.configuration([2, 3]), dropout: 0.1, tolerance: 1e-2, figureWeights: pair.figureWeights,
            withoutGradient: ["selection_bias"], "\(pair)")
    }

    @Test(arguments: pairs) func manyRanksAreOne(pair: Pair) throws {
        for world in BlockWorld.few { try world.expectOneRank(try pair.configuration(world.strata)) }
    }

    /// All that surrounds the experts and masks them, at once.
    @Test(arguments: BlockWorld.all) func manyRanksAreOneWithAll(world: BlockWorld) throws {
        var keys: [String: String] = [:]
        let alone = ["routing", "bias_balancing_rate", "adapters", "combine", "mpo"]
        for option in Self.options where !alone.contains(where: { option.keys[$0] != nil }) {
            keys.merge(option.keys) { $1 }
        }
        let all = Option(keys: keys), pair = try #require(Pair(all, Option(keys: [:])))
        try world.expectOneRank(try pair.configuration(world.strata))
    }

    /// Reports name what is added in the order of the list, the innermost first.
    @Test func additionsAreInTheOrderOfTheList() throws {
        let names = try Self.options.map { option in
            try #require(Pair(option, Option(keys: [:]))).configuration([2, 3]).additions
        }
        let pairNames = try Self.pairs.map { try $0.configuration([2, 3]).additions }
        let order = allMethods.map { "\(type(of: $0))" }
        #expect(order == Array(Set(order)).sorted { order.firstIndex(of: $0)! < order.firstIndex(of: $1)! }, "no method twice")
        #expect(Set(names.joined()).isSubset(of: Set(pairNames.joined())))
        #expect(names.allSatisfy { $0.count <= 1 } && pairNames.allSatisfy { $0.count <= 2 })
    }
}
