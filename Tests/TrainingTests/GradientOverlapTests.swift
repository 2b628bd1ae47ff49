import Collectives
import MixtureMethods
import Testing
import _TestSupport
import Training
import _TinyRuns

/// When gradients are summed: while the update's last backward goes on, the same buckets in the same order on all ranks.
@Suite(.hangLimit) struct GradientOverlapTests {
    /// What each rank calls during an update after the first.
    private static func calls(_ plan: TinyPlan, ranks: Int) throws -> (lines: [[String]], dense: Int, expert: [Int]) {
        let outcomes = try SimulatedCluster.run(ranks: ranks) { world in
            let recorder = RecordingCommunicator(world)
            let run = try TinyRun(recorder, plan)
            _ = try run.trainer.step()
            let before = recorder.log.lines.count
            _ = try run.trainer.step()
            let store = run.model.store
            return (
                Array(recorder.log.lines[before...]), store.section(.replicated).values.count,
                store.section(.expert).values.count
            )
        }
        return (outcomes.map(\.0), outcomes[0].1, outcomes.map(\.2))
    }

    private static func starts(_ lines: [String], on communicator: String, _ operation: String) -> [Int] {
        let prefix = "\(communicator).duplicate \(operation) "
        return lines.filter { $0.hasPrefix(prefix) }.compactMap { Int($0.dropFirst(prefix.count)) }
    }

    /// Four groups: on two and three ranks each has two, some of them empty.
    @Test(arguments: [2, 3, 4], [false, true]) func bucketsGoOutWhileTheLastBackwardGoesOn(ranks: Int, sharded: Bool) throws {
        var plan = TinyPlan.stratified()
        plan.shardOptimizer = sharded
        plan.bucketBytes = 1024
        plan.expertParallel = ranks == 3 ? 1 : 2
        let operation = sharded ? "startReduceScatter" : "startAllReduce"
        let (lines, dense, expert) = try Self.calls(plan, ranks: ranks)
        for (rank, own) in lines.enumerated() {
            let starts = Self.starts(own, on: "world", operation)
            #expect(starts.count > 20 && starts == Self.starts(lines[0], on: "world", operation))
            let length = sharded ? 256 / ranks / 16 * 16 : 256
            #expect(starts.dropLast().allSatisfy { $0 == length } && starts.reduce(0, +) == dense, "each element once")
            // The second split makes the replicas.
            let ofExperts = Self.starts(own, on: "world.split1", operation)
            #expect(ofExperts.reduce(0, +) == (ranks == 2 ? 0 : expert[rank]))
            #expect(own.filter { $0.contains("allGather in place") }.count == (sharded ? (ranks == 2 ? 1 : 2) : 0))
            guard ranks != 3 else { continue }
            let rows = own.indices.filter { own[$0].hasSuffix("startAllToAll rows") }
            let reductions = own.indices.filter { own[$0].contains(operation) }
            // Of each group's exchanges half are forward's; of the last group's other half most are still to come.
            let rounds = 4 / ranks
            #expect(rows.count { $0 < reductions[0] } * rounds * 2 >= rows.count * (rounds * 2 - 1))
            #expect(rows.count { $0 > reductions[0] } >= 4, "sums begin before backward comes to the encoder")
            #expect(reductions.count { $0 < rows.last! } >= 8, "as much as may be is under way before backward ends")
        }
    }

    /// Parameters without gradients, or without those of one group, hold up no bucket.
    @Test(arguments: [Float(0), 1]) func parametersThatNothingAddsToAreFinalAtOnce(gatingDropout: Float) throws {
        var plan = TinyPlan.stratified()
        plan.bucketBytes = 1024
        plan.model.mixture?[TokenChoice.self].secondExpert = .best
        plan.model.mixture?[BiasBalancing.self].rate = 0.1
        plan.model.mixture?[GatingDropout.self].probability = gatingDropout
        let (lines, dense, _) = try Self.calls(plan, ranks: 2)
        for own in lines {
            #expect(Self.starts(own, on: "world", "startAllReduce").reduce(0, +) == dense)
            // After backward the update's figures are the first thing that is summed.
            let figures = own.firstIndex(of: "world allReduce")!
            #expect(own[..<figures].count { $0.contains("startAllReduce") } >= 8)
        }
    }

    /// One rank has nobody to exchange anything with.
    @Test func oneRankSumsNothing() throws {
        let (lines, _, _) = try Self.calls(.stratified(), ranks: 1)
        #expect(!lines[0].contains { $0.contains("start") })
    }
}
