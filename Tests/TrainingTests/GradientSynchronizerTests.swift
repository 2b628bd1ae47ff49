import Autograd
import Collectives
import TensorCore
import Testing
import Training

/// Gradients and their norm over 4 ranks = 2 expert-parallel × 2 replicas.
@Suite(.timeLimit(.minutes(1))) struct GradientSynchronizerTests {
    private struct Sums: Sendable {
        let dense: [Float]
        let expert: [Float]
        let norm: Double
    }

    /// Rank r's gradients are r + 1 for the 3 dense elements, 10 (r + 1) for the 2 of its expert.
    private func sum(ranks: Int, expertParallel: Int?) throws -> [Sums] {
        try SimulatedCluster.run(ranks: ranks) { world in
            let context = ComputeContext(), store = ParameterStore()
            let dense = store.add(Parameter(vectors: ["d"], countEach: 3, initializer: .constant(0)))
            let expert = store.add(
                Parameter(vectors: ["e"], countEach: 2, placement: .expert, initializer: .constant(0)))
            store.materialize(context, seed: 1)
            dense.gradient.fill(Float(world.rank + 1))
            expert.gradient.fill(Float(10 * (world.rank + 1)))
            let groups = try ParallelGroups(world: world, expertParallel: expertParallel, strata: [2, 2])
            let synchronizer = try GradientSynchronizer(groups: groups, store: store, context: context)
            try synchronizer.sum()
            return Sums(dense: dense.gradient.elements, expert: expert.gradient.elements, norm: try synchronizer.norm())
        }
    }

    @Test func denseGradientsAreSummedOverAllRanksExpertsOverReplicas() throws {
        for (rank, sums) in try sum(ranks: 4, expertParallel: 2).enumerated() {
            #expect(sums.dense == [10, 10, 10])
            // Ranks 0 and 2 hold one expert, 1 and 3 the other.
            #expect(sums.expert == (rank % 2 == 0 ? [40, 40] : [60, 60]))
        }
    }

    @Test func theNormCountsEachExpertOnce() throws {
        let expected = (3 * 100.0 + 2 * 1600 + 2 * 3600).squareRoot()
        for sums in try sum(ranks: 4, expertParallel: 2) { #expect(abs(sums.norm - expected) < 1e-9 * expected) }
    }

    @Test func replicasAloneShareEveryExpert() throws {
        let expected = (3 * 36.0 + 2 * 3600).squareRoot()
        for sums in try sum(ranks: 3, expertParallel: 1) {
            #expect(sums.dense == [6, 6, 6] && sums.expert == [60, 60])
            #expect(abs(sums.norm - expected) < 1e-9 * expected)
        }
    }

    @Test func oneRankKeepsItsOwn() throws {
        let sums = try sum(ranks: 1, expertParallel: nil)[0]
        #expect(sums.dense == [1, 1, 1] && sums.expert == [10, 10])
    }
}
