import Benchmarks
import Collectives
import DataPipeline
import Foundation
import MixtureMethods
import MixtureOfExperts
import Runs
import TensorCore
import Testing
import Training
import TransformerModel

@testable import Planning

@Suite struct UniformRoutingTests {
    private static func mixture(_ strata: [Int], k: Int = 2, stacked: Bool = false) -> MixtureConfiguration {
        var mixture = MixtureConfiguration(strata: strata)
        mixture.topK = k
        mixture[Stacking.self].isStacked = stacked
        return mixture
    }

    /// By the recursion R_i = 1 + Σ E_j R_{j+1} / V_i, written out.
    @Test(
        arguments: [
            ([8], 1), ([4, 4], 1.5), ([4, 12], 1.25), ([12, 4], 1.75), ([2, 2, 2, 2], 1 + 1 / 2.0 + 1 / 3.0 + 1 / 4.0),
            ([4, 4, 8], 1 + 1 / 4.0 + 1 / 3.0), ([8, 4, 4], 1 + 1 / 2.0 + 1 / 2.0),
        ] as [(strata: [Int], requestedCapacity: Double)])
    func requestedCapacity(_ example: (strata: [Int], requestedCapacity: Double)) {
        let routing = UniformRouting(Self.mixture(example.strata))
        #expect(abs(routing.requestedCapacity - example.requestedCapacity) < 1e-12)
        #expect(abs(routing.expertsPerToken - 2 * example.requestedCapacity) < 1e-12)
        #expect(abs(UniformRouting(Self.mixture(example.strata, k: 1)).expertsPerToken - example.requestedCapacity) < 1e-12)
    }

    @Test func arrivals() {
        // Of four experts 2 lead on to the second stratum, 1 to the third, which half of the second reach too.
        #expect(UniformRouting(Self.mixture([2, 1, 1])).arrivals == [1, 0.5, 0.25 + 0.25])
    }

    @Test func stackedStrataArePassedByAll() {
        let routing = UniformRouting(Self.mixture([4, 1, 3], stacked: true))
        #expect(routing.arrivals == [1, 1, 1] && routing.requestedCapacity == 3)
        #expect(routing.expertsPerToken == 2 + 1 + 2, "one expert is one choice")
    }

    @Test func measuredCapacityScales() {
        let routing = UniformRouting(Self.mixture([4, 4]), requestedCapacity: 1.2)
        #expect(abs(routing.requestedCapacity - 1.2) < 1e-12 && abs(routing.expertsPerToken - 2.4) < 1e-12)
    }

    /// Every token enters the first stratum: where nobody goes on, it takes its two experts there. Uniform routing would send
    /// 7 / 8 on to a single expert.
    @Test func measuredCapacityScalesWhatGoesOn() {
        let alone = UniformRouting(Self.mixture([7, 1]), requestedCapacity: 1)
        #expect(alone.arrivals == [1, 0] && alone.requestedCapacity == 1 && alone.expertsPerToken == 2)
        let some = UniformRouting(Self.mixture([7, 1]), requestedCapacity: 1.4375)
        #expect(some.arrivals == [1, 0.4375] && some.expertsPerToken == 2.4375)
        let one = UniformRouting(Self.mixture([8]), requestedCapacity: 1)
        #expect(one.arrivals == [1] && one.expertsPerToken == 2)
    }

    /// 16,384 columns in all, two choices: what a token meets, Σ over its experts of their widths.
    @Test(
        arguments: [
            ([4, 4], [2048, 2048], 6144), ([4, 4], [1024, 3072], 7168), ([4, 4], [3072, 1024], 5120),
            ([2, 2, 2, 2], [1024, 1536, 2560, 3072], 10_240), ([2, 2, 2, 2], [3072, 2560, 1536, 1024], 6826.6667),
            ([2, 2, 2, 2], [2048, 2048, 2048, 2048], 8533.3333),
        ] as [([Int], [Int], Double)])
    func widthsThatATokenMeets(strata: [Int], widths: [Int], met: Double) throws {
        var mixture = Self.mixture(strata)
        mixture[ExpertWidths.self].widths = .list(widths)
        let visits = UniformRouting(mixture).evaluatedRows, byExpert = try #require(mixture.expertWidths)
        #expect(abs(zip(visits, byExpert).reduce(0) { $0 + $1.0 * Double($1.1) } - met) < 1e-3)
        var model = ModelConfiguration()
        (model.ffnDim, model.mixture) = (2048, mixture)
        var equal = model
        equal.mixture?[ExpertWidths.self].widths = nil
        let plans = try [model, equal].map { try ModelPlan($0, vocabulary: 1000) }
        #expect(plans[0].parameters == plans[1].parameters, "as many columns, as many parameters")
        // Two multiply-adds of d a column, in each of six blocks.
        let difference = 6 * 4 * 512 * (met - UniformRouting(Self.mixture(strata)).expertsPerToken * 2048)
        #expect(abs(plans[0].flopsPerToken - plans[1].flopsPerToken - difference) < 1e4)
    }

    /// XMoE's experts cut into m pieces, of which capacity m takes m: 9.44 million operations whatever m. d is 768.
    @Test(arguments: [1, 2, 4, 8]) func capacityBoundsThresholdChoice(pieces: Int) throws {
        var mixture = MixtureConfiguration(strata: [8 * pieces])
        mixture.routing = ThresholdChoice.routing
        (mixture.capacityFactor, mixture.evaluationCapacityFactor) = (Float(pieces), Float(pieces))
        let routing = UniformRouting(mixture)
        #expect(routing.expertsPerToken == Double(pieces) && routing.rowsPerToken == Double(pieces))
        #expect(4 * 768 * (3072 / pieces) * pieces == 9_437_184)
        mixture.evaluationCapacityFactor = nil
        #expect(UniformRouting(mixture).expertsPerToken == (0.9 * Double(8 * pieces)).rounded(.up))
    }

    /// An expert takes factor × tokens / visible experts. Two thirds of the tokens go on to the second stratum of 4-2; more than
    /// all experts, 6 and then 2, a token cannot have.
    @Test(arguments: [(0.5, 0.5 + 0.5 * 2 / 3), (3, 3 + 2 * 2 / 3.0), (nil, 6 + 2 * 2 / 3.0)] as [(Float?, Double)])
    func whereExpertsChooseTheirCapacityIsFilled(factor: Float?, rows: Double) {
        var mixture = Self.mixture([4, 2])
        (mixture.routing, mixture.capacityFactor) = (ExpertChoice.routing, factor)
        let routing = UniformRouting(mixture)
        #expect(abs(routing.rowsPerToken - rows) < 1e-12)
        #expect(abs(routing.expertsPerToken - 2 * (1 + 2 / 3.0)) < 1e-12, "in evaluation tokens choose")
        mixture.routing = TokenChoice.routing
        #expect(UniformRouting(mixture).rowsPerToken == routing.expertsPerToken)
    }
}

@Suite struct ModelPlanTests {
    /// A dense model's, added up by hand: d 4, ffn 6, one layer each, 10 words.
    @Test func aDenseModelByHand() throws {
        var model = ModelConfiguration()
        (model.dim, model.ffnDim, model.heads, model.encoderLayers, model.decoderLayers) = (4, 6, 2, 1, 1)
        let plan = try ModelPlan(model, vocabulary: 10)
        let attention = 4 * (16 + 4), norm = 8, feedForward = 2 * 24 + 6 + 4
        #expect(
            plan.parameters == 40 + (attention + feedForward + 2 * norm) + (2 * attention + feedForward + 3 * norm) + 2 * norm)
        #expect(plan.activeParameters == plan.parameters && plan.expertParameters == 0)
        #expect(plan.flopsPerToken == Double(2 * (3 * 64 + 2 * 48 + 40)))
    }

    @Test func aMixtureByHand() throws {
        var model = ModelConfiguration()
        (model.dim, model.ffnDim, model.heads, model.encoderLayers, model.decoderLayers) = (4, 6, 2, 2, 2)
        model.mixture = MixtureConfiguration(strata: [2, 2])
        let plan = try ModelPlan(model, vocabulary: 10)
        #expect(plan.kinds[0].parametersOfExpert[0] == 58 && plan.expertParameters == 2 * 4 * 58)
        #expect(plan.activeParameters == plan.replicatedParameters + 2 * 3 * 58)
        // Half of the tokens enter the second stratum. 6 attentions, 2 dense networks, output; then gates and experts of 2 blocks.
        #expect(plan.flopsPerToken == Double(2 * (6 * 64 + 2 * 48 + 40)) + 2 * 2 * (16 + 0.5 * 8 + 3 * 48))
    }

    /// Strata 2-2 in the encoder's block, 1-1 in the decoder's: a plan of either kind, and their sum.
    @Test func sidesByHand() throws {
        var model = ModelConfiguration()
        (model.dim, model.ffnDim, model.heads, model.encoderLayers, model.decoderLayers) = (4, 6, 2, 2, 2)
        model.mixture = MixtureConfiguration(strata: [2, 2])
        model.mixture?.decoderStrata = [1, 1]
        let plan = try ModelPlan(model, vocabulary: 10)
        #expect(plan.expertParameters == (4 + 2) * 58 && plan.kinds.map(\.count) == [1, 1])
        #expect(plan.requestedCapacity == 1.5 && plan.expertsPerToken == 2.75)
        // Of the decoder's two experts a token meets both at the first gate, and half of the tokens one more at the second.
        #expect(plan.activeParameters == plan.replicatedParameters + Int((3.0 * 58 + 2.5 * 58).rounded()))
        let dense = Double(2 * (6 * 64 + 2 * 48 + 40)), inEncoder = 2 * (16 + 0.5 * 8 + 3.0 * 48)
        let inDecoder = 2 * (8 + 0.5 * 4 + 2.5 * 48)
        #expect(plan.flopsPerToken == dense + inEncoder + inDecoder)
        let configuration = Self.run(model)
        let rank = try RankPlan(plan, configuration, ranks: 1)
        #expect(rank.memory.parameters == 4 * plan.parameters)
        let report = PlanReport(model: plan, rank: rank, isMeasured: false)
        #expect(report.text.contains("\nencoder ") && report.text.contains("\ndecoder "), "\(report.text)")
        #expect(try report.json().contains("decoder_placement"))
        #expect(throws: PlacementError.self) {
            var spread = configuration
            spread.parallel.expertParallel = 3
            _ = try RankPlan(plan, spread, ranks: 3)
        }
        // What was measured of both together is told apart by the experts' places.
        let skew = ExpertSkew.measured([[1, 2, 3, 4], [0, 0, 5, 6]])
        #expect(skew.narrowed(to: model.mixture!.ofDecoder, from: model.mixture!.widest) == .measured([[1, 3], [0, 5]]))
        #expect(skew.narrowed(to: model.mixture!.ofEncoder, from: model.mixture!.widest) == skew)
    }

    /// A gate of top-any choice has d + 1 parameters an expert beside the mark of the active ones, and half of the experts at first.
    @Test func topAnyChoiceByHand() throws {
        var model = ModelConfiguration()
        (model.dim, model.ffnDim, model.heads, model.encoderLayers, model.decoderLayers) = (64, 96, 4, 1, 1)
        model.mixture = MixtureConfiguration(strata: [8])
        model.mixture?.every = 1
        let two = try ModelPlan(model, vocabulary: 10)
        model.mixture?.routing = TopAnyChoice.routing
        let any = try ModelPlan(model, vocabulary: 10)
        #expect(any.replicatedParameters - two.replicatedParameters == 2 * 8 * 2)
        // Four experts in place of two, 4 d F each.
        #expect(any.flopsPerToken - two.flopsPerToken == Double(2 * 2 * 4 * 64 * 96))
    }

    /// Two sub-tokens a row: a head and a merge layer, 2 d², beside as many operations of gates and experts.
    @Test func aMixtureOfSubTokensByHand() throws {
        var model = ModelConfiguration()
        (model.dim, model.ffnDim, model.heads, model.encoderLayers, model.decoderLayers) = (64, 96, 4, 1, 1)
        func plan(_ heads: Int, _ experts: Int, k: Int, width: Int) throws -> ModelPlan {
            var mixture = MixtureConfiguration(strata: [experts])
            (mixture.every, mixture.topK) = (1, k)
            mixture[MultiHead.self].heads = heads
            mixture[ExpertWidths.self].widths = .list([width])
            model.mixture = mixture
            return try ModelPlan(model, vocabulary: 10)
        }
        let one = try plan(1, 8, k: 1, width: 96), two = try plan(2, 8, k: 1, width: 96)
        #expect(two.replicatedParameters - one.replicatedParameters == 2 * (2 * 64 * (64 + 1) - 8 * 32))
        #expect(two.kinds[0].parametersOfExpert[0] == 2 * 32 * 96 + 96 + 32)
        // Two halves of a row each meet an expert of half its width; head, merge; gates of half the width, twice.
        #expect(two.flopsPerToken - one.flopsPerToken == Double(2 * 2 * (2 * 64 * 64)))
        #expect(try RankPlan(two, Self.run(model), ranks: 1).memory.parameters == 4 * two.parameters)
    }

    /// The paper's mixtures of 8 experts of 2048 with one choice, of three matrices; and of two, transformer-base with two choices
    /// of 8, transformer-big of 16.
    @Test(
        arguments: [
            (768, 2, 768, 41.3333, 2, 3, 2048, 8), (768, 3, 512, 93, 3, 3, 2048, 8), (512, 2, 1792, 17.7143, 2, 2, 2048, 8),
            (512, 4, 1792, 35.4286, 2, 2, 2048, 8), (1024, 2, 3584, 36, 2, 2, 4096, 16), (1024, 4, 3584, 72, 2, 2, 4096, 16),
        ] as [(Int, Int, Double, Double, Double, Int, Double, Double)])
    func wholeRows(
        dim: Int, heads: Int, width: Double, experts: Double, choices: Double, matrices: Int, ffnDim: Double, whole: Double
    ) {
        // With k choices for one, as wide as k of the baseline's with one choice.
        let baseline = matrices == 3 ? ffnDim / choices : ffnDim
        let mixture = WholeRowMixture(
            dim: dim, heads: heads, width: width, experts: 1000, choices: choices, matrices: matrices)
        #expect(abs(mixture.ffnDim - baseline) < 1e-9)
        let parameters = (experts * width / Double(heads) + 2 * Double(dim) / Double(matrices))
        #expect(abs(parameters / ffnDim - whole) < 1e-3)
        let expected = (1000 * width / Double(heads) + 2 * Double(dim) / Double(matrices)) / baseline
        #expect(abs(mixture.experts - expected) < 1e-9)
    }

    private static func run(_ model: ModelConfiguration) -> RunConfiguration {
        var configuration = RunConfiguration(data: DataConfiguration(format: .numerals, prepared: "p"))
        (configuration.model, configuration.data.vocabulary) = (model, 10)
        return configuration
    }

    /// What is planned is what a rank holds.
    @Test(arguments: [1, 2, 4, 6]) func parametersAreThoseOfTheModel(ranks: Int) throws {
        var configuration = RunConfiguration(data: DataConfiguration(format: .numerals, prepared: "p"))
        (configuration.model.dim, configuration.model.ffnDim, configuration.model.heads) = (16, 24, 2)
        configuration.model.mixture = MixtureConfiguration(strata: [5, 7])
        // On six, of which each half has a copy of the first stratum.
        configuration.parallel.expertParallel = ranks
        configuration.model.mixture?[ConditionalRouting.self].settings = .init()
        configuration.model.mixture?[ExpertWidths.self].widths = .list((0..<12).map { 8 + $0 * 5 % 17 })
        configuration.data.vocabulary = 50
        let (model, vocabulary) = (configuration.model, configuration.data.vocabulary)
        let plan = try ModelPlan(model, vocabulary: vocabulary)
        let held = try SimulatedCluster.run(ranks: ranks) { group in
            TranslationModel(
                configuration: model, vocabulary: vocabulary, context: ComputeContext(), expertGroup: group, seed: 1
            ).store.count
        }
        #expect(try RankPlan(plan, configuration, ranks: ranks).memory.parameters == 4 * held.max()!)
        let together = held.reduce(0) { $0 + $1 - plan.replicatedParameters }, first = plan.kinds[0].parametersOfExpert[..<5]
        let copied = ranks == 6 ? 6 * first.reduce(0, +) : 0
        #expect(together == plan.expertParameters + copied)
    }

    /// Copies of two experts in both halves of four ranks: what is theirs stays in a half, and the halves add up their gradients.
    @Test func trafficOfCopiesByHand() throws {
        var configuration = RunConfiguration(data: DataConfiguration(format: .numerals, prepared: "p"))
        configuration.model.mixture = MixtureConfiguration(strata: [2, 4])
        configuration.model.mixture?.topK = 1
        (configuration.training.tokenGroups, configuration.training.tokensPerGroup) = (4, 1000)
        configuration.parallel.expertParallel = 4
        let plan = try ModelPlan(configuration.model, vocabulary: 1000)
        let rank = try RankPlan(plan, configuration, ranks: 4)
        // Of six experts a third are copies, half of which are elsewhere, and of the others three quarters; the third that came
        // through the first stratum go on to the second's.
        let elsewhere = 1.0 / 3 / 2 + 2.0 / 3 * 3 / 4 + 1.0 / 3 * 3 / 4
        #expect(abs(Double(rank.allToAllBytesPerUpdate) - 6000 * elsewhere * 4 * 4 * 512) <= 1)
        // One copied expert a rank and one of its own, in six blocks; the copy's gradient is a piece, of which half is sent, and the
        // half's sum.
        let expert = plan.kinds[0].parametersOfExpert[0]
        #expect(rank.summedParameters.copiedExpert == 6 * expert && rank.summedParameters.expert == 6 * expert)
        #expect(rank.gradientBytes.copiedExpert == 4 * 6 * expert && rank.gradientBytes.expert == 0)
        #expect(rank.memory.parameters == 4 * (plan.replicatedParameters + 2 * 6 * expert))
    }

    /// Where experts come, memory and traffic are those of as many as may exist, and operations those of the first.
    @Test func aPoolIsPlannedAtItsLargest() throws {
        func plan(_ initial: Int) throws -> (model: ModelPlan, rank: RankPlan) {
            let configuration = try RunConfiguration.parse(
                """
                model: {moe: {strata: [16], routing: top_any, capacity_factor: none, expert_pool: {initial: [\(initial)], minimum: 2}}}
                data: {format: numerals, prepared: p}
                parallel: {expert_parallel: 2}
                """, source: "a.yaml")
            let model = try ModelPlan(configuration.model, vocabulary: 1000)
            return (model, try RankPlan(model, configuration, ranks: 2))
        }
        let (small, full) = (try plan(4), try plan(16))
        #expect(small.rank.memory.activations == full.rank.memory.activations && full.rank.memory.activations > 0)
        #expect(small.rank.allToAllBytesPerUpdate == full.rank.allToAllBytesPerUpdate)
        #expect(small.model.flopsPerToken < full.model.flopsPerToken)
    }

    @Test func trafficByHand() throws {
        var configuration = RunConfiguration(data: DataConfiguration(format: .numerals, prepared: "p"))
        configuration.model.mixture = MixtureConfiguration(strata: [4, 4])
        (configuration.training.tokenGroups, configuration.training.tokensPerGroup) = (4, 1000)
        configuration.parallel.expertParallel = 2
        let plan = try ModelPlan(configuration.model, vocabulary: 1000)
        let rank = try RankPlan(plan, configuration, ranks: 4)
        // 1,000 tokens a rank and side in each of 6 blocks, with 3 experts, of which half are the other rank's: outputs. Both of a
        // token's two are there with 12 / 56, of all but these a row travels for each token that wants one there. Six numbers are
        // told of each choice.
        let wanted = 1.0 - 12.0 / 56 + (1.0 - 1.0 / 6) / 2
        func expect(_ configuration: RunConfiguration, _ bytes: Double) throws {
            let planned = try RankPlan(plan, configuration, ranks: 4).allToAllBytesPerUpdate
            #expect(abs(Double(planned) - bytes) <= 1, "\(planned), \(bytes)")
        }
        try expect(configuration, 6000 * ((3 * wanted + 1.5) * 4 * 512 + 1.5 * 6 * 4))
        configuration.parallel.wire = .bfloat16
        // Only normalised rows.
        try expect(configuration, 6000 * ((wanted + 3 * 1.5) * 2 * 512 + 1.5 * 2 * 4))
        configuration.parallel.wire = .float32
        // 3 / 4 of what is dense and 1 / 2 of a place's experts, four bytes each: to be summed, and as sums.
        #expect(rank.gradientBytesPerUpdate == 6 * plan.replicatedParameters + 4 * 6 * 4 * plan.kinds[0].parametersOfExpert[0])
        #expect(rank.layout.replicas == 2)
        // Parameters and two moments: a quarter of what is dense, and the experts of a place.
        #expect(
            rank.memory.snapshot == 3 * (rank.memory.parameters - 4 * plan.replicatedParameters + plan.replicatedParameters))
        configuration.checkpoint.asynchronous = false
        #expect(try RankPlan(plan, configuration, ranks: 4).memory.snapshot == 0)
        configuration.model.mixture?.routing = ExpertChoice.routing
        configuration.model.mixture?.capacityFactor = 1
        // One row a token at the first stratum, and one for the half that goes on.
        #expect(
            try RankPlan(ModelPlan(configuration.model, vocabulary: 1000), configuration, ranks: 4).allToAllBytesPerUpdate
                == 6000 * 3 / 4 * (4 * 512 * 4 + 6 * 4))
        let alone = try RankPlan(plan, configuration.withExpertParallel(1), ranks: 1)
        #expect(alone.allToAllBytesPerUpdate == 0 && alone.gradientBytesPerUpdate == 0)
    }

    /// Of two networks hidden activations and outputs; the normalised rows that they read are kept by every block.
    @Test func activationsOfSharedExpertsByHand() throws {
        var configuration = RunConfiguration(data: DataConfiguration(format: .numerals, prepared: "p"))
        configuration.model.mixture = MixtureConfiguration(strata: [4, 4])
        configuration.training.tokensPerGroup = 1000
        func activations(_ shared: Int, conditional: Bool = false) throws -> Int {
            configuration.model.mixture?[SharedExperts.self].count = shared
            configuration.model.mixture?[ConditionalRouting.self].settings = conditional ? .init() : nil
            return try RankPlan(ModelPlan(configuration.model, vocabulary: 1000), configuration, ranks: 1).memory.activations
        }
        let tokens = 1000 * 6 * 4, without = try activations(0)
        #expect(try activations(2) - without == tokens * 2 * (2048 + 512))
        #expect(try activations(2, conditional: true) - without == tokens * (3 * (2048 + 512) + 512))
        configuration.training.recompute = true
        let recomputed = try activations(0)
        #expect(try activations(2) - recomputed == tokens * 2 * 512)
    }

    /// Half of the tokens enter the second stratum: input, normalised rows, three choices' hidden activations and outputs, scores
    /// and the second stratum's input.
    @Test func activationsOfABlockByHand() throws {
        var configuration = RunConfiguration(data: DataConfiguration(format: .numerals, prepared: "p"))
        configuration.model.mixture = MixtureConfiguration(strata: [4, 4])
        configuration.training.tokensPerGroup = 1000
        func activations(every: Int) throws -> Int {
            configuration.model.mixture?.every = every
            return try RankPlan(ModelPlan(configuration.model, vocabulary: 1000), configuration, ranks: 1).memory.activations
        }
        let block = 2 * 512 + 3 * (2048 + 512) + 8 + (4 + 512) / 2, dense = 2 * 512 + 2048
        #expect(try activations(every: 1) - activations(every: 2) == 1000 * 6 * 4 * (block - dense))
    }

    private static let mixtures: [MixtureConfiguration?] = {
        var shared = MixtureConfiguration(strata: [4]), chosen = MixtureConfiguration(strata: [4, 4])
        shared[SharedExperts.self].count = 2
        (chosen.routing, chosen.capacityFactor) = (ExpertChoice.routing, 4)
        var wide = MixtureConfiguration(strata: [4, 4]), parts = MixtureConfiguration(strata: [4, 4])
        wide[ExpertWidths.self].widths = .list([128, 384])
        parts[MultiHead.self].heads = 4
        var adapted = MixtureConfiguration(strata: [4, 4])
        adapted[Adapters.self].settings = .init()
        var sides = MixtureConfiguration(strata: [4, 4])
        sides.decoderStrata = [2, 2]
        return [
            nil, MixtureConfiguration(strata: [4]), MixtureConfiguration(strata: [4, 4]), shared, chosen, wide, parts, adapted,
            sides,
        ]
    }()

    /// The estimate is within a third of what an update really takes.
    @Test(arguments: mixtures, [(1, 1), (2, 1), (2, 2)])
    func activations(mixture: MixtureConfiguration?, spread: (ranks: Int, lanes: Int)) throws {
        let strata = mixture?.strata ?? [], (ranks, lanes) = spread
        // Groups run in turns for the sake of experts alone.
        guard lanes == 1 || mixture != nil else { return }
        for recompute in [false, true] {
            var configuration = RunConfiguration(data: DataConfiguration(format: .numerals, prepared: "p"))
            (configuration.model.dim, configuration.model.ffnDim, configuration.model.heads) = (64, 256, 4)
            configuration.model.mixture = mixture
            configuration.data.vocabulary = 2000
            (configuration.training.tokenGroups, configuration.training.tokensPerGroup) = (2 * lanes, 1024)
            configuration.training.recompute = recompute
            let (final, model) = (configuration, configuration.model)
            let planned = try RankPlan(
                ModelPlan(model, vocabulary: 2000), final, ranks: ranks, movesWhileComputing: lanes > 1
            ).memory
            let taken = try SimulatedCluster.run(ranks: ranks) { world in
                let groups = try ParallelGroups(world: world, expertParallel: nil, strata: strata)
                let context = ComputeContext()
                let model = TranslationModel(
                    configuration: model, vocabulary: 2000, context: context, expertGroup: groups.experts, seed: 1,
                    lanes: lanes)
                let trainer = try Trainer(
                    model: model, optimizer: Adam(store: model.store, context: context, beta1: 0.9, beta2: 0.98, epsilon: 1e-6),
                    groups: groups,
                    source: SyntheticSentences(groups: 2 * lanes, tokensPerGroup: 1024, vocabulary: 2000, seed: 1),
                    configuration: final.training)
                for _ in 1...3 { _ = try trainer.step() }
                return context.allocator.peakBytesInUse
            }
            let activations = taken.max()! - (planned.total - planned.activations - planned.snapshot)
            let ratio = Double(planned.activations) / Double(activations)
            #expect(ratio > 0.75 && ratio < 1.33, "\(strata), \(ranks) ranks, \(lanes) lanes, recompute \(recompute): \(ratio)")
        }
    }
}

extension RunConfiguration {
    fileprivate func withExpertParallel(_ places: Int) -> RunConfiguration {
        var copy = self
        copy.parallel.expertParallel = places
        return copy
    }
}

@Suite struct PaperModelTests {
    @Test func figuresAreThoseOfThePaper() throws {
        let rows = try PaperReport().rows
        #expect(rows.count == 21)
        for row in rows {
            #expect(abs(row.parametersDeviation) < 1, "\(row.corpus) \(row.model): \(row.parameters)")
            // The paper's figure for four stacked mixtures is not the one that follows from its others.
            guard row.model != "stacking-4x2" else { continue }
            #expect(abs(row.flopsDeviation) < 1, "\(row.corpus) \(row.model): \(row.flopsPerToken)")
        }
        let stacking = try #require(rows.first { $0.model == "stacking-4x2" })
        #expect(abs(stacking.flopsPerToken / 1e6 - 343) < 1)
    }

    private static let configs = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
        .deletingLastPathComponent().appendingPathComponent("configs").path

    @Test func configurationsAreThePapersModels() throws {
        for corpus in PaperModel.corpora {
            for model in corpus.models {
                let file = "\(Self.configs)/\(corpus.name)/\(model.name).yaml"
                let configuration = try RunConfiguration.load(file: file)
                #expect(configuration.model == model.configuration, "\(file)")
                #expect(configuration.data.vocabulary == PaperModel.vocabulary)
            }
        }
    }

    /// Every configuration of the paper's models, and nothing else, stands in its folder.
    @Test func everyConfigurationBuilds() throws {
        for folder in ["m4", "m15", "opus100"] {
            let files = try FileManager.default.contentsOfDirectory(atPath: "\(Self.configs)/\(folder)").filter {
                $0 != "base.yaml"
            }
            for file in files {
                let configuration = try RunConfiguration.load(file: "\(Self.configs)/\(folder)/\(file)")
                let plan = try ModelPlan(configuration.model, vocabulary: configuration.data.vocabulary)
                for ranks in [1, 4, 16] { _ = try RankPlan(plan, configuration, ranks: ranks) }
                #expect(plan.parameters > 50_000_000)
            }
            let names = Set(files.map { $0.replacingOccurrences(of: ".yaml", with: "") })
            let expected =
                PaperModel.corpora.first { $0.name == folder }?.models.map(\.name)
                ?? ["dense", "vanilla", "switch", "eom", "cmr", "smoe-4-12", "smoe-4-4-4-4"]
            #expect(names.subtracting(Self.beyondThePaper) == Set(expected), "\(folder)")
            #expect(folder != "m4" || names.isSuperset(of: Self.beyondThePaper))
        }
    }

    /// A mixture on Multi30k of two strata with half of the experts each, whose widths repeat.
    struct Small: Sendable {
        let name: String
        var heads = 1
        var stratum = 4
        var widths = [512]
        /// Of a token at both gates.
        var choices = [2.0, 2.0]
        /// Parameters of a block beside its gates, norms and experts, and multiply-adds of a row.
        var more = (parameters: 0, products: 0)
    }

    /// Parameters and operations of SMoE-4-4 and the mixtures beside it, added up by hand: d 192, f 512, two layers on each side, of
    /// which one is a mixture, 6,000 words. Half of the tokens enter the second stratum.
    @Test(
        arguments: [
            Small(name: "smoe-4-4"), Small(name: "xmoe", stratum: 8, widths: [256], choices: [15, 8]),
            Small(name: "hmoe", widths: [288, 416, 608, 736], choices: [5, 3]),
            Small(name: "mhmoe", heads: 2, stratum: 9, widths: [448], more: (2 * (192 * 192 + 192), 2 * 192 * 192)),
            Small(name: "dynmoe", choices: [4, 2], more: (2 * 12, 0)),
        ]) func theMixturesOnMulti30k(small: Small) throws
    {
        let configuration = try RunConfiguration.load(file: "\(Self.configs)/multi30k/\(small.name).yaml")
        let plan = try ModelPlan(configuration.model, vocabulary: configuration.data.vocabulary)
        let d = 192, f = 512, words = 6000, attention = 4 * (d * d + d), norm = 2 * d
        let outside = words * d + 6 * attention + 2 * (2 * d * f + f + d) + 12 * norm
        let c = d / small.heads, n = small.stratum, widths = (0..<n).map { small.widths[$0 % small.widths.count] }
        let experts = 2 * widths.reduce(0) { $0 + (2 * c + 1) * $1 + c }
        #expect(plan.parameters == outside + 2 * (3 * n * c + 2 * c + experts + small.more.parameters))
        let width = Double(widths.reduce(0, +)) / Double(n), met = small.choices[0] + small.choices[1] / 2
        let gatesAndExperts = Double(small.heads) * (2.5 * Double(n) + 2 * met * width) * Double(c)
        let products = Double(words * d + 24 * d * d + 4 * d * f) + 2 * (gatesAndExperts + Double(small.more.products))
        #expect(abs(plan.flopsPerToken - 2 * products) < 1)
    }

    /// Adapters of 64 on transformer-base: six blocks of eight with 2 · 512 · 64 parameters each, and gates; and what is held for
    /// training where they alone are trained.
    @Test func adaptersAddLittle() throws {
        var configuration = RunConfiguration(data: DataConfiguration(format: .numerals, prepared: "p"))
        let dense = try ModelPlan(configuration.model, vocabulary: 1000)
        var mixture = MixtureConfiguration(strata: [8])
        mixture[Adapters.self].settings = .init()
        configuration.model.mixture = mixture
        let one = try ModelPlan(configuration.model, vocabulary: 1000)
        #expect(one.parameters - dense.parameters == 3_145_728 + 6 * 8 * 512)
        configuration.model.mixture?.strata = [4, 4]
        configuration.training.trained = .adapters
        let two = try ModelPlan(configuration.model, vocabulary: 1000, trained: .adapters)
        let gates = 6 * 12 * 512, norms = 6 * 2 * 512
        #expect(two.parameters - dense.parameters == 3_145_728 + gates + norms && two.trainedParameters == 3_145_728 + gates)
        // k R · 4 d a operations in each block, beside the gates'.
        let gateProducts = 6 * (8 + 0.5 * 4) * 512
        #expect(abs(two.flopsPerToken - dense.flopsPerToken - 2 * gateProducts - 2 * 1.5 * 4 * 512 * 64 * 6) < 1)
        let memory = try RankPlan(two, configuration, ranks: 1).memory
        #expect(memory.optimizerState == 2 * 4 * two.trainedParameters && memory.parameters == 4 * two.parameters)
        // Of the token groups that run, and sums of earlier ones.
        #expect(memory.gradients % (4 * two.trainedParameters) == 0 && memory.gradients < 4 * two.parameters)
    }

    /// The M4 model of 148 million parameters as one of 68: the weights of a block's experts, 16,777,216, are 3,412,992.
    @Test func chainsOfTensorsOnM4() throws {
        var configuration = try RunConfiguration.load(file: "\(Self.configs)/m4/smoe-4-4.yaml")
        let full = try ModelPlan(configuration.model, vocabulary: configuration.data.vocabulary)
        configuration.model.mixture?[FactorisedExperts.self].settings = .init()
        let plan = try ModelPlan(configuration.model, vocabulary: configuration.data.vocabulary)
        #expect(plan.parameters - full.parameters == 6 * (3_412_992 - 16_777_216))
        #expect(plan.parameters / 1_000_000 == 68 || plan.parameters / 1_000_000 == 67, "\(plan.parameters)")
        #expect(abs(plan.flopsPerToken - full.flopsPerToken) < 1, "rows meet the same matrices")
        configuration.model.mixture?[FactorisedExperts.self].settings?.sharing = .stratum
        let apart = try ModelPlan(configuration.model, vocabulary: configuration.data.vocabulary)
        #expect(apart.parameters - full.parameters == 6 * (5_510_144 - 16_777_216))
        // The matrices, too, are in memory, with their gradients.
        let memory = try RankPlan(plan, configuration, ranks: 1).memory
        #expect(memory.parameters == 4 * (plan.parameters + 6 * 16_777_216) && memory.optimizerState == 8 * plan.parameters)
    }

    /// Mixtures of other papers, on the first corpus.
    private static let beyondThePaper: Set = ["xmoe", "hmoe", "mhmoe", "dynmoe"]

    @Test func theBatchesAreThePapers() throws {
        for (file, tokens, rate, temperature) in [
            ("m4/vanilla", 13_312, Float(8e-4), 1.0), ("m15/vanilla", 13_312, 8e-4, 1), ("opus100/vanilla", 65_536, 5e-4, 5),
        ] {
            let configuration = try RunConfiguration.load(file: "\(Self.configs)/\(file).yaml")
            #expect(configuration.training.tokenGroups * configuration.training.tokensPerGroup == tokens)
            #expect(configuration.training.learningRate == rate && configuration.data.temperature == temperature)
            #expect(configuration.training.updates == 100_000 && configuration.training.warmup == 8000)
        }
    }
}
