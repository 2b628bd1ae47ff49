import Autograd
import Collectives
import Testing
import _TestSupport
import Training
import _TinyRuns

/// Updates whose loss or gradient is not finite are skipped, and too many in a row end training on every rank.
@Suite(.hangLimit) struct DivergenceTests {
    /// Sets the embedding's first rows, which every target token is compared with.
    private static func poison(_ run: TinyRun, _ value: Float) {
        run.model.store.section(.replicated).values.buffer[0] = value
    }

    @Test(arguments: [1, 2, 4], [Float.nan, .infinity, 3e38]) func anUpdateThatIsNotFiniteChangesNothing(
        ranks: Int, value: Float
    ) throws {
        try changesNothing(ranks: ranks, value: value, .stratified())
    }

    /// A rank sees the gradients of its share alone.
    @Test func withTheOptimizerShardedNeither() throws {
        var plan = TinyPlan.stratified()
        plan.shardOptimizer = true
        plan.bucketBytes = 4096
        try changesNothing(ranks: 4, value: .nan, plan)
    }

    private func changesNothing(ranks: Int, value: Float, _ plan: TinyPlan) throws {
        _ = try SimulatedCluster.run(ranks: ranks) { world in
            let run = try TinyRun(world, plan)
            _ = try run.trainer.step()
            let healthy = run.model.store.section(.replicated).values.buffer[0]
            Self.poison(run, value)
            let before = run.state
            let metrics = try run.trainer.step().metrics
            try #require(!metrics.loss.isFinite || !metrics.gradientNorm.isFinite)
            try #require(metrics.update == 2 && metrics.skipped)
            try #require(run.state.differences(from: before) == [])
            for placement in ParameterPlacement.allCases {
                try #require(run.model.store.section(placement).gradients.elements.allSatisfy { $0 == 0 })
            }
            Self.poison(run, healthy)
            let next = try run.trainer.step().metrics
            try #require(next.loss.isFinite && !next.skipped, "training goes on where it can")
            try #require(!run.state.differences(from: before).isEmpty)
        }
    }

    /// Adam corrects moments for the updates that have moved them: the first to be applied moves by the learning rate, whatever
    /// was skipped before it, and so does a run that goes on from there.
    @Test func skippedUpdatesDoNotCountForTheMoments() throws {
        let folder = TemporaryFolder()
        @Sendable func largestMove(_ run: TinyRun) throws -> Double {
            let values = run.model.store.section(.replicated).values, before = values.elements
            let metrics = try run.trainer.step().metrics
            return zip(values.elements, before).map { Double(abs($0 - $1)) }.max()! / metrics.learningRate
        }
        _ = try SimulatedCluster.run(ranks: 1) { world in
            let run = try TinyRun(world, .stratified(), in: folder.path)
            let healthy = run.model.store.section(.replicated).values.buffer[0]
            Self.poison(run, .nan)
            for _ in 0..<4 { _ = try run.trainer.step() }
            Self.poison(run, healthy)
            try run.save()
            let again = try TinyRun(world, .stratified(), in: folder.path)
            for run in [run, again] {
                try #require(run.trainer.update == 4 && run.trainer.applied == 0)
                let move = try largestMove(run)
                try #require(abs(move - 1) < 0.01, "\(move)")
                try #require(run.trainer.update == 5 && run.trainer.applied == 1)
            }
        }
    }

    @Test(arguments: [1, 2]) func tooManyInARowEndTraining(ranks: Int) throws {
        _ = try SimulatedCluster.run(ranks: ranks) { world in
            let run = try TinyRun(world, .stratified())
            Self.poison(run, .nan)
            for _ in 0..<10 { _ = try run.trainer.step() }
            let error = try #require(throws: TrainingError.self) { try run.trainer.step() }
            guard case .nonFinite(update: 11, _, _, skipped: 11) = error else { throw error }
            try #require("\(error)".contains("training.learning_rate"))
        }
    }

    @Test func onlyThoseInARowCount() throws {
        _ = try SimulatedCluster.run(ranks: 1) { world in
            let run = try TinyRun(world, .stratified())
            let healthy = run.model.store.section(.replicated).values.buffer[0]
            for _ in 0..<3 {
                Self.poison(run, .nan)
                for _ in 0..<6 { _ = try run.trainer.step() }
                Self.poison(run, healthy)
                _ = try run.trainer.step()
            }
            try #require(run.trainer.update == 21)
        }
    }
}
