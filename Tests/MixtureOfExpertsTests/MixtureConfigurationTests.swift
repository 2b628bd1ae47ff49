import ConfigurationForms
import MixtureOfExperts
import Testing
import _TestSupport

@Suite struct MixtureConfigurationTests {
    /// A method with keys of its own.
    private struct Example: MixtureMethod {
        var amount: Float = 0.5
        static var fields: [ConfigurationField<Self>] {
            [.init("example_amount", \.amount, .number(.atLeast(0)), isWritten: { $0.amount != 0.5 })]
        }

        func validate(_ configuration: MixtureConfiguration, _ path: String, _ problems: ConfigurationProblems) {
            problems.require(
                amount <= Float(configuration.topK), "\(path).example_amount", "\(path).top_k",
                text: "must be at most \(path).top_k")
        }
    }

    /// A rule whose choices do not queue, of one bare score a token.
    private struct Unordered: RoutingRule {
        static let routing = "unordered"
        var choicesQueue: Bool { false }
        var readsTopK: Bool { false }
        var readsNormalization: Bool { false }

        func choose(_ gate: GateScores) -> RoutingChoices { gate.bestChoices(1) }
    }

    private static let methods: [any MixtureMethod] = [TestBalance(), BestChoice(), Example(), Unordered()]

    @Test func sidesHaveStrataOfTheirOwn() {
        var mixture = MixtureConfiguration(strata: [4, 2], methods: Self.methods)
        #expect(mixture.ofDecoder == mixture && mixture.widest == mixture && mixture.strataText == "4-2")
        mixture.decoderStrata = [1, 3]
        #expect(
            mixture.ofEncoder.strata == [4, 2] && mixture.ofDecoder.strata == [1, 3] && mixture.ofDecoder.decoderStrata == nil)
        #expect(mixture.widest.strata == [4, 3] && mixture.fewestExperts == [1, 2])
        #expect(mixture.strataText == "4-2, decoder 1-3" && mixture.ofDecoder.visibleExperts(atStratum: 1) == 1..<4)
        #expect(mixture.with(encoder: [2, 2], decoder: [2, 2]).decoderStrata == nil)
        #expect(mixture.with(encoder: [2, 2], decoder: [2, 1]).decoderStrata == [2, 1])
        #expect(expertPlaces(of: [1, 3], in: [4, 3]) == [0, 4, 5, 6])
    }

    /// What blocks of other strata did is added up by the experts' places in their strata.
    @Test func statisticsOfOtherStrataAddUp() {
        var sum = RoutingStatistics(strata: [2, 2]), one = RoutingStatistics(strata: [2, 1]),
            two = RoutingStatistics(strata: [1, 2])
        (one.tokens, one.strataPassed, one.choices, one.dropped) = (5, 7, 9, 1)
        (one.load, one.chosen) = ([[1, 2, 3], [0, 0, 4]], [[1, 2, 4], [0, 0, 4]])
        (two.load, two.chosen) = ([[5, 6, 7], [0, 8, 9]], [[5, 6, 7], [0, 8, 9]])
        sum += one
        sum += two
        #expect(sum.load == [[6, 2, 9, 7], [0, 0, 12, 9]] && sum.chosen == [[6, 2, 10, 7], [0, 0, 12, 9]])
        #expect([sum.tokens, sum.strataPassed, sum.choices, sum.dropped] == [5, 7, 9, 1])
    }

    @Test func aMethodsValuesAreFoundByItsType() {
        var configuration = MixtureConfiguration(strata: [2, 3], methods: Self.methods)
        #expect(configuration[Example.self].amount == 0.5)
        configuration[Example.self].amount = 2
        #expect(configuration[Example.self].amount == 2 && configuration.methods.count == 4)
        // What is not in the list has the values of a configuration that does not mention it.
        #expect(configuration[UnequalExperts.self].step == 0 && configuration.methods.count == 4)
        configuration[UnequalExperts.self].step = 3
        #expect(configuration[UnequalExperts.self].step == 3 && configuration.methods.count == 5)
        #expect(configuration.methods(for: (any RoutingLoss).self).map { type(of: $0).figure } == ["test_balance"])
    }

    @Test func theFirstRuleIsTheDefault() {
        var configuration = MixtureConfiguration(strata: [2], methods: Self.methods)
        #expect(configuration.routing == "best" && configuration.rule is BestChoice)
        #expect(configuration.routings == ["best", "unordered"])
        configuration.routing = "unordered"
        #expect(configuration.rule is Unordered)
        #expect(configuration.trainingCapacityFactor == nil, "choices that do not queue are not dropped")
    }

    @Test func configurationsAreEqualByAllTheirValues() {
        let configuration = MixtureConfiguration(strata: [2, 3], methods: Self.methods)
        #expect(configuration == configuration)
        let changes: [(inout MixtureConfiguration) -> Void] = [
            { $0.every = 3 }, { $0.strata = [5] }, { $0.routing = "unordered" }, { $0.topK = 3 }, { $0.capacityFactor = nil },
            { $0.evaluationCapacityFactor = 2 }, { $0.capacityPriority = .ownProbability }, { $0.gateNormalization = .never },
            { $0[Example.self].amount = 1 }, { $0[UnequalExperts.self] = UnequalExperts() },
        ]
        for (index, change) in changes.enumerated() {
            var other = configuration
            change(&other)
            #expect(other != configuration, "change \(index)")
        }
    }

    @Test func gatesSeeTheirOwnAndLaterStrata() {
        var configuration = MixtureConfiguration(strata: [2, 3, 4], methods: Self.methods)
        #expect((0..<3).map(configuration.visibleExperts(atStratum:)) == [0..<9, 2..<9, 5..<9])
        #expect(configuration.experts == 9 && configuration.stratumOfExpert == [0, 0, 1, 1, 1, 2, 2, 2, 2])
        configuration[TestOrder.self] = TestOrder(.stacked)
        #expect((0..<3).map(configuration.visibleExperts(atStratum:)) == [0..<2, 2..<5, 5..<9])
    }

    // MARK: how it is written

    private static func node(_ keys: KeyValuePairs<String, String>) -> ConfigurationNode {
        ConfigurationNode(
            written: .map(keys.map { .init(key: $0, node: ConfigurationNode(written: .scalar($1, quoted: false))) }))
    }

    private static func read(_ keys: KeyValuePairs<String, String>) throws -> MixtureConfiguration {
        struct Root { var moe: MixtureConfiguration? }
        let form = ConfigurationForm<Root>.section(
            [.init("moe", \.moe, .optional(MixtureConfiguration.form(methods: methods)))], over: Root())
        let root = ConfigurationNode(written: .map([.init(key: "moe", node: node(keys))]))
        return try form.read(root: root) { $0.moe?.validate("moe", $1) }.moe!
    }

    private static func problem(_ keys: KeyValuePairs<String, String>) -> String {
        do {
            _ = try read(keys)
            return ""
        } catch {
            return "\(error)"
        }
    }

    @Test func keysAreTheFramesThenThoseOfMethods() {
        #expect(
            MixtureConfiguration.form(methods: Self.methods).keys("") == [
                "every", "strata", "decoder_strata", "routing", "top_k", "capacity_factor", "evaluation_capacity_factor",
                "capacity_priority",
                "batch_prioritized", "gate_normalization", "stratum_scale", "example_amount",
            ])
    }

    @Test func valuesAreRead() throws {
        var expected = MixtureConfiguration(strata: [6], methods: Self.methods)
        #expect(try Self.read(["strata": "6"]) == expected)
        (expected.topK, expected.capacityFactor, expected.routing) = (3, nil, "best")
        (expected.capacityPriority, expected.evaluationCapacityFactor) = (.ownProbability, 2)
        expected[Example.self].amount = 0.25
        let read = try Self.read([
            "strata": "6", "top_k": "3", "capacity_factor": "none", "routing": "best", "capacity_priority": "own_probability",
            "evaluation_capacity_factor": "2", "example_amount": "0.25",
        ])
        #expect(read == expected)
    }

    @Test func whatDoesNotGoTogetherIsRefused() {
        #expect(Self.problem(["top_k": "2"]).contains("moe.strata is required"))
        #expect(
            Self.problem(["strata": "4", "routing": "bist"]).contains(
                "moe.routing must be best or unordered, but is bist; did you mean best?"))
        #expect(
            Self.problem(["strata": "4", "routing": "unordered", "capacity_priority": "own_probability"]).contains(
                "moe.capacity_priority must be token_order with moe.routing: unordered"))
        #expect(
            Self.problem(["strata": "4", "routing": "unordered", "top_k": "2"]).contains(
                "moe.top_k must be left out with moe.routing: unordered"))
        #expect(
            Self.problem(["strata": "4", "routing": "unordered", "gate_normalization": "after_drop"]).contains(
                "moe.gate_normalization must be never, or be left out, with moe.routing: unordered"))
        #expect(Self.problem(["strata": "4", "routing": "unordered", "gate_normalization": "never"]) == "")
        #expect(
            Self.problem(["strata": "4", "capacity_factor": "none", "capacity_priority": "own_probability"]).contains(
                "moe.capacity_priority must be token_order with moe.capacity_factor: none"))
        #expect(
            Self.problem(["strata": "4", "capacity_factor": "none", "batch_prioritized": "true"]).contains(
                "moe.capacity_priority must be token_order with moe.capacity_factor: none"))
        for keys in [
            ["strata": "4", "batch_prioritized": "true", "capacity_priority": "own_probability"],
            ["strata": "4", "capacity_priority": "first_choice_probability", "batch_prioritized": "false"],
        ] as [KeyValuePairs<String, String>] {
            #expect(Self.problem(keys).contains("moe.batch_prioritized must be left out beside moe.capacity_priority"))
        }
        #expect(
            Self.problem(["strata": "4", "example_amount": "7"]).contains("moe.example_amount must be at most moe.top_k"))
        #expect(Self.problem(["strata": "4", "example_amount": "2"]) == "")
        #expect(Self.problem(["strata": "4", "balance": "2"]).contains("moe.balance is not a key"))
    }

    @Test func aMethodThatIsNotUsedIsNotWritten() {
        func keys(_ configuration: MixtureConfiguration) -> [String] {
            guard case .map(let entries)? = MixtureConfiguration.form(methods: Self.methods).write(configuration) else {
                return []
            }
            return entries.map(\.key)
        }
        var configuration = MixtureConfiguration(strata: [2], methods: Self.methods)
        let few = ["every", "strata", "top_k", "capacity_factor", "evaluation_capacity_factor", "gate_normalization"]
        #expect(keys(configuration) == few)
        configuration[Example.self].amount = 1
        (configuration.routing, configuration.capacityPriority) = ("unordered", .ownProbability)
        // The rule reads neither `top_k` nor `gate_normalization`.
        let read = Set(few).subtracting(["top_k", "gate_normalization"])
        #expect(Set(keys(configuration)) == read.union(["routing", "capacity_priority", "example_amount"]))
    }
}
