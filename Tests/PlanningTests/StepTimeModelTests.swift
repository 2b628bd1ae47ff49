import Autograd
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
import _TestSupport

@testable import Planning

/// What the tests predict with.
private enum Example {
    /// A machine of round numbers: 1 GFLOP/s of everything but experts, whose speed is `rows` MFLOP/s from 100 to 1,000 rows.
    static func machine(
        ranks: Int = 4, hosts: Int = 2, cores: Int = 4, within: MachineFigures.Messages? = .init(latency: 1e-6, bytes: 1e9),
        between: MachineFigures.Messages? = .init(latency: 1e-5, bytes: 1e8)
    ) -> MachineFigures {
        MachineFigures(
            ranks: ranks, hosts: hosts, threads: 1, cores: cores, ranksPerMachine: 2, compute: "float32",
            widths: [
                .init(
                    dim: 64, dense: 1e9, loss: 1e9, attention: 1e9, passes: 1e9,
                    experts: [.init(rows: 100, speed: 1e8), .init(rows: 1000, speed: 1e9)])
            ], optimizerBytes: 1e9, withinHost: within, betweenHosts: between)
    }

    /// Without a communication thread nothing hides.
    static func configuration(
        strata: [Int]?, groups: Int = 4, thread: AutomaticChoice = .off
    ) -> RunConfiguration {
        var configuration = RunConfiguration(data: DataConfiguration(format: .numerals, prepared: "p"))
        (configuration.model.dim, configuration.model.ffnDim, configuration.model.heads) = (64, 256, 4)
        (configuration.model.encoderLayers, configuration.model.decoderLayers) = (2, 2)
        configuration.model.mixture = strata.map { strata in
            var mixture = MixtureConfiguration(strata: strata)
            (mixture.routing, mixture.capacityFactor) = (ForcedBalanced.routing, nil)
            return mixture
        }
        configuration.data.vocabulary = 500
        (configuration.training.tokenGroups, configuration.training.tokensPerGroup) = (groups, 1000)
        configuration.parallel.communicationThread = thread
        return configuration
    }

    static func model(
        _ configuration: RunConfiguration, _ machine: MachineFigures = Example.machine(), link: String? = nil,
        skew: ExpertSkew = .uniform, seed: UInt64 = 1
    ) throws -> StepTimeModel {
        try StepTimeModel(
            ModelPlan(configuration.model, vocabulary: configuration.data.vocabulary), configuration, machine: machine,
            link: link.map { try #require(LinkRate($0)) }, skew: skew, seed: seed)
    }
}

@Suite struct StepTimeModelTests {
    /// 933 tokens a group; 4 groups one after another on one rank.
    @Test func aDenseModelByHand() throws {
        let time = try Example.model(Example.configuration(strata: nil)).time(ranks: 1, hosts: 1)
        let d = 64.0, tokens = 4 * 933.0
        // Four projections a self-attention, of which there are four, and a cross-attention, of which there are two; four networks.
        let products = 6 * 4 * d * d + 4 * 2 * d * 256
        #expect(abs(time.dense - tokens * 6 * products / 1e9) < 1e-9)
        #expect(abs(time.loss - tokens * 6 * 500 * d / 1e9) < 1e-9)
        #expect(abs(time.attention - tokens * 6 * 12 * 24 * d / 1e9) < 1e-9)
        #expect(time.experts == 0 && time.rows == 0 && time.gradients == 0 && time.waiting == 0)
        #expect(time.linkBytes == 0 && time.rowBytes == 0 && time.gradientBytes == 0 && time.busyRanks == 1)
        #expect(abs(time.parts.reduce(0) { $0 + $1.seconds } - time.total) < 1e-12)
        #expect(abs(time.tokensPerSecond * time.total - tokens) < 1e-9)
    }

    /// Eight experts of one stratum, two choices, two blocks: 933 · 2 / 8 rows of each from one rank's tokens, as many from each of
    /// its peers'.
    @Test func expertsByHand() throws {
        let configuration = Example.configuration(strata: [8])
        for (ranks, places) in [(1, 1), (2, 2), (4, 4)] {
            let time = try Example.model(configuration).time(ranks: ranks, hosts: 1)
            let rows = 933.0 * 2 / 8 * Double(places)
            // log10 of rows, from 2 at 0.1 GFLOP/s to 3 at 1.
            let speed = min(1e9, 1e8 + (log10(rows) - 2) * 9e8), rounds = Double(4 / ranks)
            let seconds = rounds * 2 * Double(8 / places) * rows * 6 * 2 * 64 * 256 / speed
            #expect(abs(time.experts / seconds - 1) < 1e-6, "\(ranks)")
        }
    }

    @Test func recomputationCostsAFirstLayerMore() throws {
        var configuration = Example.configuration(strata: [8])
        let kept = try Example.model(configuration).time(ranks: 1, hosts: 1)
        configuration.training.recompute = true
        let again = try Example.model(configuration).time(ranks: 1, hosts: 1)
        #expect(abs(again.experts / kept.experts - 7.0 / 6) < 1e-9)
        // Of the layers without experts, which are two.
        #expect(abs(again.dense - kept.dense - 4 * 933 * 2 * 2 * 64 * 256 / 1e9) < 1e-9)
    }

    /// Bytes over bandwidth and messages times latency, of four ranks on two hosts, in one block with experts for all four.
    @Test func rowExchangesByHand() throws {
        var configuration = Example.configuration(strata: [4])
        (configuration.model.encoderLayers, configuration.model.decoderLayers) = (2, 1)
        configuration.parallel.hostRelay = .off
        // 933 tokens × 2 choices × 256 bytes, a quarter to each place; of a rank's three peers two are on the other host.
        let place = 933.0 * 2 * 256 / 4
        let crossing = 2 * 2 * place, inside = place
        let latency = 1 * 1e-6 + 2 * 1e-5
        let fast = try Example.model(configuration).time(ranks: 4, hosts: 2)
        #expect(abs(fast.rows - (4 * max(inside / 1e9 + crossing / 1e8, crossing / 1e8) + 5 * latency)) < 1e-9)
        #expect(abs(fast.rowBytes - 4 * 3 * place) < 1e-6)
        let slow = try Example.model(configuration, link: "100mbit").time(ranks: 4, hosts: 2)
        #expect(abs(slow.rows - (4 * crossing / (12.5e6 * 0.8) + 5 * latency)) < 1e-9)
        let gradients = slow.linkBytes - 4 * crossing
        // Each of two ranks sends two of its three peers what they add up, and its sum.
        #expect(abs(gradients - 2 * 2.0 / 3 * slow.gradientBytes) < 1e-6)
        // Of a token's two choices both are on the other host for one in six; on three of four ways one of their rows does not cross.
        configuration.parallel.hostRelay = .on
        let relayed = try Example.model(configuration).time(ranks: 4, hosts: 2)
        let saved = 4 * crossing * 3 / 24
        #expect(abs(relayed.rows - ((4 * inside + saved) / 1e9 + (4 * crossing - saved) / 1e8 + 5 * latency)) < 1e-9)
    }

    /// Sums hide as far as layers are left to go through when a bucket is full, but for the embedding's, which is final last.
    @Test func gradientsThatHide() throws {
        func time(_ thread: AutomaticChoice, dim: Int, _ link: String) throws -> StepTime {
            var configuration = Example.configuration(strata: nil, thread: thread)
            (configuration.model.dim, configuration.model.ffnDim) = (dim, 4 * dim)
            return try Example.model(configuration, link: link).time(ranks: 2, hosts: 2)
        }
        let one = try time(.auto, dim: 64, "100mbit")
        #expect(
            abs(one.gradients - (try time(.off, dim: 64, "100mbit")).gradients) < 1e-9, "the only bucket is full at the end")
        for link in ["10gbit", "100mbit", "1kbit"] {
            let (all, some) = (try time(.off, dim: 512, link), try time(.auto, dim: 512, link))
            #expect(abs(some.total + some.hidden - all.total) < 1e-6 * all.total && all.hidden == 0)
            #expect(some.hidden > 0 && some.hidden < (some.dense + some.attention + some.passes) / 2 * 2 / 3)
            #expect(some.gradients >= all.gradients * 500.0 * 512 / 23e6)
        }
    }

    /// Messages move while ranks compute on several hosts, or where they are to.
    @Test func whereNothingMovesNothingHides() throws {
        func time(_ thread: AutomaticChoice, ranks: Int, hosts: Int) throws -> StepTime {
            try Example.model(Example.configuration(strata: [4], thread: thread)).time(ranks: ranks, hosts: hosts)
        }
        #expect(try time(.auto, ranks: 2, hosts: 1) == time(.off, ranks: 2, hosts: 1))
        #expect(try time(.on, ranks: 1, hosts: 1) == time(.off, ranks: 1, hosts: 1))
        #expect(try time(.on, ranks: 2, hosts: 1).total < time(.off, ranks: 2, hosts: 1).total)
        let (auto, off) = (try time(.auto, ranks: 2, hosts: 2), try time(.off, ranks: 2, hosts: 2))
        #expect(off.hidden == 0 && abs(auto.total + auto.hidden - off.total) < 1e-9 && auto.hidden > 0)
    }

    /// Who moves messages takes the processor from who computes, unless there is one more.
    @Test func movingTakesAProcessor() throws {
        let configuration = Example.configuration(strata: [4], thread: .auto)
        func time(cores: Int, link: String?) throws -> StepTime {
            try Example.model(configuration, Example.machine(cores: cores), link: link).time(ranks: 4, hosts: 2)
        }
        #expect(try time(cores: 4, link: "10gbit").total < time(cores: 3, link: "10gbit").total)
        // With the link that was measured it is not known what of the time was the processor's: only looks are.
        #expect(try time(cores: 4, link: nil).rows < time(cores: 3, link: nil).rows)
    }

    /// With turns a step takes less where links are slow. Where nearly all hides without, counts that wait behind the other group's
    /// rows cost a little. Never does it take less than its computing.
    @Test func turnsHideMore() throws {
        for link in ["10gbit", "1gbit", "100mbit", "10mbit"] {
            var configuration = Example.configuration(strata: [4, 4], thread: .on)
            let turns = try Example.model(configuration, link: link).time(ranks: 2, hosts: 2)
            configuration.parallel.interleave = .off
            let alone = try Example.model(configuration, link: link).time(ranks: 2, hosts: 2)
            #expect(turns.total < alone.total * (link == "10mbit" ? 1 : 1.005), "\(link)")
            #expect(turns.rows >= 0 && alone.rows >= 0, "\(link)")
            #expect(turns.experts == alone.experts && turns.linkBytes == alone.linkBytes)
        }
    }

    @Test func aSlowerLinkIsNeverFaster() throws {
        for (wire, thread) in WireFormat.allCases.flatMap({ wire in [AutomaticChoice.off, .auto].map { (wire, $0) } }) {
            var configuration = Example.configuration(strata: [4, 4], groups: 8, thread: thread)
            configuration.parallel.wire = wire
            let times = try ["10gbit", "1gbit", "100mbit", "10mbit"].map {
                try Example.model(configuration, link: $0).time(ranks: 4, hosts: 2)
            }
            #expect(zip(times, times.dropFirst()).allSatisfy { $0.total <= $1.total } && times[0].total < times[3].total)
            #expect(Set(times.map(\.linkBytes)).count == 1 && Set(times.map(\.experts)).count == 1)
        }
    }

    @Test func bfloat16HalvesRows() throws {
        var configuration = Example.configuration(strata: [4])
        let whole = try Example.model(configuration).time(ranks: 4, hosts: 2)
        configuration.parallel.wire = .bfloat16
        let half = try Example.model(configuration).time(ranks: 4, hosts: 2)
        #expect(half.rowBytes == whole.rowBytes / 2 && half.gradientBytes == whole.gradientBytes && half.passes > whole.passes)
    }

    @Test func skewCostsWaiting() throws {
        let configuration = Example.configuration(strata: [8])
        let times = try [0, 0.5, 1, 2].map {
            try Example.model(configuration, skew: .zipf($0)).time(ranks: 4, hosts: 2)
        }
        let even = try Example.model(configuration).time(ranks: 4, hosts: 2)
        #expect(abs(times[0].total - even.total) < 1e-9)
        #expect(zip(times, times.dropFirst()).allSatisfy { $0.waiting < $1.waiting && $0.linkBytes <= $1.linkBytes })
        let again = try Example.model(configuration, skew: .zipf(1)).time(ranks: 4, hosts: 2)
        let other = try Example.model(configuration, skew: .zipf(1), seed: 2).time(ranks: 4, hosts: 2)
        #expect(again == times[2] && other != times[2], "the seed says who is busy, and nothing else does")
    }

    /// Ranks that share processors do not wait for each other: one that has less to do leaves its processor to the rest.
    @Test func ranksThatShareProcessorsDoNotWait() throws {
        let configuration = Example.configuration(strata: [8])
        let time = try Example.model(configuration, Example.machine(cores: 1), skew: .zipf(1)).time(ranks: 4, hosts: 2)
        #expect(time.waiting == 0)
    }

    @Test func groupsThatDoNotGoRound() throws {
        let time = try Example.model(Example.configuration(strata: [8], groups: 2)).time(ranks: 4, hosts: 2)
        let full = try Example.model(Example.configuration(strata: [8], groups: 4)).time(ranks: 4, hosts: 2)
        #expect(time.busyRanks == 0.5 && full.busyRanks == 1 && time.utilization < full.utilization)
        #expect(time.dense == full.dense && time.rowBytes == full.rowBytes / 2)
        let three = try Example.model(Example.configuration(strata: [8], groups: 3)).time(ranks: 2, hosts: 1)
        #expect(three.busyRanks == 0.75 && three.dense == 2 * full.dense)
    }

    @Test func expectedMaximum() {
        // Of normal variables: 1 / √π of two, 1.0294 of four, 3.2451 of a thousand and 24 (Blom is within a twentieth).
        for (count, value) in [(1, 0.0), (2, 0.5642), (4, 1.0294), (1024, 3.2451)] {
            #expect(abs(StepTimeModel.expectedMaximum(of: count) - value) <= 0.05 * value)
        }
    }

    @Test func proposalsUseAllProcessors() throws {
        let proposals = try Example.model(Example.configuration(strata: [4, 4]), link: "100mbit").proposals(ranks: 8, hosts: 2)
        #expect(
            proposals.allSatisfy { $0.ranks * $0.threads == 8 && $0.ranks % $0.expertParallel == 0 && $0.expertParallel <= 4 })
        // 1, 2, 4 ranks on each host; one expert-parallel size with one wire, the others with both.
        #expect(proposals.count == (1 + 2) + (1 + 2 * 2) + (1 + 2 * 2))
        #expect(zip(proposals, proposals.dropFirst()).allSatisfy { $0.time.total <= $1.time.total })
        let alone = try Example.model(Example.configuration(strata: [4, 4]), Example.machine(within: nil)).proposals(
            ranks: 2, hosts: 2)
        #expect(alone.allSatisfy { $0.ranks == 2 })
    }

    @Test func whatCannotBePredicted() throws {
        let configuration = Example.configuration(strata: [4])
        #expect(throws: PlanningError.unequalHosts(ranks: 4, hosts: 3)) {
            try Example.model(configuration).time(ranks: 4, hosts: 3)
        }
        func message(_ body: () throws -> Void) -> String {
            do { try body() } catch { return "\(error)" }
            return ""
        }
        let alone = Example.machine(within: nil, between: nil)
        #expect(
            message { _ = try Example.model(configuration, alone).time(ranks: 2, hosts: 1) }.contains(
                "mpirun -n 2 strata bench machine"))
        #expect(message { _ = try Example.model(configuration, alone).time(ranks: 2, hosts: 2) }.contains("--link must say"))
        #expect(try Example.model(configuration, alone, link: "1gbit").time(ranks: 2, hosts: 2).rows > 0)
        var other = configuration
        other.model.compute = .bfloat16
        #expect(message { _ = try Example.model(other) }.contains("in the model's precision, bfloat16, but are of float32"))
    }

    @Test func limits() throws {
        let model = try Example.model(Example.configuration(strata: [4], groups: 64), link: "1gbit")
        func limits(_ ranks: Int, _ hosts: Int) throws -> Set<StepTimeModel.Limit> {
            Set(try model.limits(try model.time(ranks: ranks, hosts: hosts), ranks: ranks, hosts: hosts))
        }
        #expect(try limits(4, 2).isEmpty)
        #expect(try limits(8, 2) == [.unmeasuredRanks])
        #expect(try limits(8, 4) == [.manyHosts])
        #expect(try limits(128, 64) == [.manyHosts, .idleRanks])
    }
}

@Suite struct StepTrafficTests {
    /// Tokens take all pairs of experts in turn.
    private struct EveryPair: RoutingRule {
        static let routing = "every_pair"

        func choose(_ gate: GateScores) -> RoutingChoices {
            let pairs = gate.visible.flatMap { first in gate.visible.filter { $0 != first }.map { (first, $0) } }
            var choices = RoutingChoices(tokens: gate.tokens, choicesPerToken: 2)
            for token in 0..<gate.tokens {
                let pair = pairs[token % pairs.count]
                choices.add(pair.0)
                choices.add(pair.1)
                choices.endToken(leading: pair.0)
            }
            return choices
        }
    }

    /// What is predicted to be sent is what simulated ranks send, where loads are even; tokens are those of the groups.
    @Test(arguments: [(2, nil, WireFormat.float32), (4, nil, .float32), (4, 2, .bfloat16)] as [(Int, Int?, WireFormat)])
    func bytesAreThoseOfATraining(ranks: Int, expertParallel: Int?, wire: WireFormat) throws {
        var configuration = Example.configuration(strata: [4])
        configuration.model.mixture = MixtureConfiguration(strata: [4], methods: [EveryPair()])
        configuration.model.mixture?.capacityFactor = nil
        (configuration.parallel.expertParallel, configuration.parallel.wire) = (expertParallel, wire)
        let final = configuration
        let time = try Example.model(final).time(ranks: ranks, hosts: 1)
        let sent = try SimulatedCluster.run(ranks: ranks) { world in
            let recorder = RecordingCommunicator(world)
            let run = try TrainingRun(final, vocabulary: 500, world: recorder, context: ComputeContext(threads: 1))
            let source = SyntheticSentences(groups: 4, tokensPerGroup: 1000, vocabulary: 500, seed: 1)
            _ = try run.trainer(on: source).step()
            return (rows: recorder.log.rowBytes, sums: recorder.log.sumBytes)
        }
        let source = SyntheticSentences(groups: 4, tokensPerGroup: 1000, vocabulary: 500, seed: 1)
        let tokens = Double(source.targetTokens(update: 1).reduce(0, +)) / time.tokens
        let rows = Double(sent.reduce(0) { $0 + $1.rows }) / Double(ranks)
        // Places differ by what does not divide: a row of each stratum, way and block.
        #expect(abs(rows / (time.rowBytes * tokens) - 1) < 0.01, "\(rows), \(time.rowBytes * tokens)")
        let sums = Double(sent.reduce(0) { $0 + $1.sums }) / Double(ranks)
        #expect(abs(sums / time.gradientBytes - 1) < 1e-4, "\(sums), \(time.gradientBytes)")
    }

    @Test func whatCrossesALink() throws {
        let four = HostLayout(try ParallelLayout(ranks: 4, expertParallel: 4, strata: [4]), hosts: 2)
        let alike = [[1, 2, 4, 8.0]]
        // Rank 0 has no tokens. Host 0 sends from rank 1 to places 2 and 3, and gets from ranks 2 and 3 for places 0 and 1.
        let traffic = four.rows(alike, isActive: [false, true, true, true])
        #expect(traffic == HostLayout.Traffic(between: 12, within: 8))
        #expect(four.rows(alike, isActive: [true, false, false, false]) == .init(between: 12, within: 2))
        let pairs = HostLayout(try ParallelLayout(ranks: 4, expertParallel: 2, strata: [4]), hosts: 2)
        #expect(pairs.rows([[1, 2]], isActive: [true, true, true, true]) == .init(between: 0, within: 2))
        // Rows of copies stay in their half, and their gradients' other holder is in the other one.
        let halves = HostLayout(try ParallelLayout(ranks: 4, expertParallel: 4, strata: [2, 4]), hosts: 2)
        let within = [[1, 1, 0, 0], [0, 0, 1, 1.0]]
        #expect(halves.rows(within, isActive: [true, true, true, true]) == .init(between: 0, within: 1))
        #expect(halves.sums(.copiedExpert, bytes: 3) == .init(between: 6, within: 0))
        #expect(halves.sums(.expert, bytes: 3) == .init(between: 0, within: 0))
        // Three peers, two of them elsewhere, for each of a host's two ranks; an expert's other copy is elsewhere.
        #expect(pairs.sums(.replicated, bytes: 3) == .init(between: 4, within: 1))
        #expect(pairs.sums(.expert, bytes: 3) == .init(between: 6, within: 0))
        #expect(pairs.mostPlacesElsewhere() == 0 && four.mostPlacesElsewhere() == 2)
        #expect(pairs.mostHoldersElsewhere(.replicated) == 2 && pairs.mostHoldersElsewhere(.expert) == 1)
    }

    @Test func theGroupsAreThoseOfTheSentences() {
        let source = SyntheticSentences(groups: 1, tokensPerGroup: 2048, vocabulary: 40, seed: 7)
        let groups = (1...400).map { source.group(update: $0, index: 0).batch.targetSegments }
        let tokens = groups.map { Double($0.rows) }, mean = tokens.reduce(0, +) / 400
        #expect(abs(mean / 2048 - StepWork.fill) < 0.005)
        let lengths = groups.map { segments in
            Double((0..<segments.count).reduce(0) { $0 + segments.length($1) * segments.length($1) }) / Double(segments.rows)
        }
        #expect(abs(lengths.reduce(0, +) / 400 - StepWork.sentence) < 3)
    }
}

@Suite struct ExpertSkewTests {
    @Test func texts() {
        #expect(ExpertSkew("uniform") == .uniform && ExpertSkew("zipf:1.5") == .zipf(1.5))
        for text in ["", "zipf", "zipf:", "zipf:-1", "zipf:nan", "zipf:11", "even"] {
            #expect(ExpertSkew(text) == nil, "\(text)")
        }
    }

    /// An expert is chosen once by a token: what a law would give it beyond that is the others'.
    @Test func sharesAreBounded() {
        #expect(ExpertSkew.shared(2, by: [1, 1, 2], atMost: 1) == [0.5, 0.5, 1])
        #expect(ExpertSkew.shared(2, by: [1, 1, 6], atMost: 1) == [0.5, 0.5, 1])
        #expect(ExpertSkew.shared(2, by: [1, 10, 60], atMost: 1) == [1 / 11, 10 / 11, 1])
        #expect(ExpertSkew.shared(3, by: [1, 10, 60], atMost: 1) == [1, 1, 1])
        #expect(ExpertSkew.shared(2, by: [0, 0, 3], atMost: 1) == [0, 0, 1])
    }

    @Test func everyGateSendsAsManyRows() throws {
        let routing = UniformRouting(MixtureConfiguration(strata: [4, 4]))
        for skew in [
            ExpertSkew.uniform, .zipf(1), .zipf(3), .measured([[8, 1, 1, 1, 1, 1, 1, 1], [0, 0, 0, 0, 3, 1, 1, 1]]),
        ] {
            let rows = skew.rows(routing, rowsPerToken: 1, block: 0, key: RandomKey(seed: 1))
            for (stratum, even) in routing.trainedRowsOfGate.enumerated() {
                #expect(abs(rows[stratum].reduce(0, +) - even.reduce(0, +)) < 1e-9)
                #expect(
                    zip(rows[stratum], even).allSatisfy { $1 > 0 || $0 == 0 }, "no gate sends to experts that it does not see")
                #expect(rows[stratum].allSatisfy { $0 <= routing.arrivals[stratum] + 1e-9 })
            }
        }
        let measured = ExpertSkew.measured([[2, 1, 1, 1, 1, 1, 1, 1], [0, 0, 0, 0, 1, 1, 1, 1]])
        #expect(abs(measured.rows(routing, rowsPerToken: 1, block: 0, key: RandomKey(seed: 1))[0][0] - 2 * 2 / 9.0) < 1e-9)
    }
}

@Suite struct LinkRateTests {
    @Test func texts() throws {
        let gigabit = try #require(LinkRate("1gbit"))
        #expect(abs(gigabit.bytes - 125e6 * 0.8) < 1 && gigabit.name == "1gbit")
        #expect(try #require(LinkRate("2.5gbit")).bytes == 2.5 * gigabit.bytes)
        #expect(abs(try #require(LinkRate("100mbit")).bytes - gigabit.bytes / 10) < 1e-6)
        #expect(try #require(LinkRate("500kbit")).bytes < gigabit.bytes / 1000)
        for text in ["", "gbit", "1", "1 gbit ", "-1gbit", "0mbit", "1GBit", "nangbit", "1e12gbit", "1e-300gbit", "0.5kbit"] {
            #expect(LinkRate(text) == nil, "\(text)")
        }
    }
}
