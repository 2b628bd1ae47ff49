import Autograd
import Collectives
import ConfigurationForms
import MixtureMethods
import MixtureOfExperts
import NeuralLayers
import Testing
import _TestSupport
import _TinyRuns

/// What a block reports under a name that nobody knows arrives in the update's metrics.
@Suite(.hangLimit) struct BlockFigureTests {
    /// Counts the rows that enter a block, and says how many there are on average.
    private struct Counting: WrappingMethod {
        var isOn = false

        static var fields: [ConfigurationField<Self>] { [.init("counting", \.isOn, .boolean)] }

        func wrapper(of block: BlockSite, store: ParameterStore) -> (any BlockWrapper)? { isOn ? Counter() : nil }
        func keptFloats(dim: Int, hidden: Int) -> Int { 0 }
    }

    private struct Counter: BlockWrapper {
        func callAsFunction(
            _ x: Variable, h: Variable, _ pass: ForwardPass, inner: Inner
        ) throws -> (output: Variable, figures: [BlockFigure]) {
            (
                try inner(x, h),
                [BlockFigure("rows_counted", Float(x.rows), combination: .sum), BlockFigure("rows_of_a_group", Float(x.rows))]
            )
        }
    }

    @Test(arguments: [1, 2, 3]) func figuresOfAMethodFromElsewhereAreReported(ranks: Int) throws {
        var plan = TinyPlan.stratified(updates: 2)
        plan.model.mixture?[Counting.self].isOn = true
        let final = plan
        let outcomes = try SimulatedCluster.run(ranks: ranks) { world in
            let run = try TinyRun(world, final)
            return try (1...2).map { update in
                (try run.trainer.step().metrics, run.groups(ofUpdate: update).map(\.batch))
            }
        }
        for rank in outcomes {
            for (metrics, batches) in rank {
                #expect(metrics.figures.map(\.name) == ["aux", "rows_counted", "rows_of_a_group"])
                // A block in the encoder and one in the decoder.
                let rows: [Int] = batches.map { $0.source.count + $0.targetTokens }
                #expect(metrics.figure("rows_counted") == Double(rows.reduce(0, +)))
                var mean = 0.0
                for (count, batch) in zip(rows, batches) {
                    let share = Double(batch.targetTokens) / Double(metrics.targetTokens)
                    mean += Double(count) / 2 * share
                }
                #expect(abs((metrics.figure("rows_of_a_group") ?? 0) - mean) < 1e-9 * mean)
            }
        }
    }
}
