import Collectives
import MixtureOfExperts
import TensorCore
import Testing
import _TestSupport
import _TinyRuns

@testable import Training

@Suite(.hangLimit) struct HotExpertsTests {
    /// On four ranks in two groups of two, of four token groups, rows of 100 bytes.
    private static func hot(_ parameters: [[Int]], ranks: Int = 4, expertParallel: Int = 2) throws -> HotExperts {
        let mixture = MixtureConfiguration(strata: [2, 4])
        return HotExperts(
            layout: try ParallelLayout(ranks: ranks, expertParallel: expertParallel, mixture: mixture), tokenGroups: 4,
            rowBytes: 100, parameters: parameters)
    }

    /// Each of four ranks has a sum of its own and sends the others theirs: (1 + 1) · 3; of two groups each has the sum of its own two,
    /// one node of the tree: (1 + 1) · 1. Half of the choices' rows leave their rank, four ways.
    @Test func bytesAreCountedByHand() throws {
        let hot = try Self.hot([[]])
        #expect(hot.bytesSaved(rows: 50, parameters: 10, spread: .expert) == 4 * 100 * 25 - 4 * 10 * (6 - 2))
        // Alone in its group an expert has no other holder.
        let whole = try Self.hot([[]], ranks: 2)
        #expect(whole.bytesSaved(rows: 8, parameters: 10, spread: .expert) == 4 * 100 * 4 - 4 * 10 * 2)
        // In groups of four a part's two ranks share a copy of the first stratum.
        let parts = try Self.hot([[]], expertParallel: 4)
        #expect(parts.bytesSaved(rows: 8, parameters: 10, spread: .copiedExpert) == 4 * 100 * 4 - 4 * 10 * (6 - 2))
        #expect(parts.bytesSaved(rows: 8, parameters: 10, spread: .expert) == 4 * 100 * 6 - 4 * 10 * 6)
    }

    /// Of a model on two ranks what is asked again and again: the second expert of one block's second stratum is wanted by all.
    @Test func whatIsWantedMostIsHotWhileItIs() throws {
        var plan = TinyPlan(strata: [2, 4])
        plan.replicas = .auto
        let final = plan
        let all = try SimulatedCluster.run(ranks: 2) { world in
            let run = try TinyRun(world, final)
            var hot = try HotExperts(of: run.model, run.groups, tokenGroups: 4)
            func statistics(_ expert: Int, _ others: Int) -> [RoutingStatistics] {
                run.model.blocks.enumerated().map { number, block in
                    var statistics = RoutingStatistics(strata: [2, 4])
                    for other in 0..<6 { statistics.chosen[1][other] = others }
                    if number == 0 { statistics.chosen[1][expert] = 3000 }
                    statistics.load = statistics.chosen
                    return statistics
                }
            }
            hot.add(statistics(3, 400))
            let first = hot.decide(for: run.model.blocks)
            // Nothing was counted since.
            let again = hot.decide(for: run.model.blocks)
            // 3,000 for a mean of 2,625: the others are wanted, too.
            hot.add(statistics(3, 2500))
            let even = hot.decide(for: run.model.blocks)
            // So seldom that rows cost less than gradients.
            var few = RoutingStatistics(strata: [2, 4])
            few.chosen[0][3] = 4
            few.load = few.chosen
            hot.add([few, few])
            let cold = hot.decide(for: run.model.blocks)
            // Wanted as at first, but beyond its capacity: what is not sent saves nothing.
            var full = statistics(3, 400)
            for block in full.indices { full[block].load = few.load }
            hot.add(full)
            return [first, again, even, cold, hot.decide(for: run.model.blocks)]
        }
        let name = final.model.blockNames[0]
        #expect(all[0] == [[name: [3]], [:], [:], [:], [:]])
        #expect(all[1] == all[0])
    }

    /// A hot expert stays so above its stratum's mean; of a block a quarter at most, where those that are hot go before others.
    @Test func hotExpertsStayAndAreFew() throws {
        var plan = TinyPlan(strata: [2, 4])
        (plan.replicas, plan.replicated) = (.auto, ["encoder.layers.1.moe": [2]])
        let final = plan
        let all = try SimulatedCluster.run(ranks: 2) { world in
            let run = try TinyRun(world, final)
            var hot = try HotExperts(of: run.model, run.groups, tokenGroups: 4)
            var statistics = RoutingStatistics(strata: [2, 4])
            statistics.chosen[0] = [0, 0, 1300, 900, 900, 900]
            statistics.load = statistics.chosen
            hot.add([statistics, RoutingStatistics(strata: [2, 4])])
            let stays = hot.decide(for: run.model.blocks)
            statistics.chosen[0] = [9000, 100, 6000, 5000, 100, 100]
            statistics.load = statistics.chosen
            hot.add([statistics, statistics])
            return [stays, hot.decide(for: run.model.blocks)]
        }
        #expect(all[0] == [["encoder.layers.1.moe": [2]], ["encoder.layers.1.moe": [2], "decoder.layers.1.moe": [0]]])
    }
}
