import Autograd
import Collectives
import TensorCore
import Testing
import _TestSupport

@testable import Training

/// Gradients and their norm over 4 ranks = 2 expert-parallel × 2 replicas.
@Suite(.hangLimit) struct GradientSynchronizerTests {
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
            let groups = try ParallelGroups(world: world, expertParallel: expertParallel, strata: [2, 2])
            store.materialize(context, seed: 1, sources: { groups.layout.sharing($0) })
            dense.gradient.fill(Float(world.rank + 1))
            // As much from every rank of the group.
            for source in 0..<groups.experts.size {
                expert.gradient(source: source).fill(Float(10 * (world.rank + 1)) / Float(groups.experts.size))
            }
            let synchronizer = try GradientSynchronizer(
                groups: groups, store: store, context: context, tokenGroups: ranks)
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

    /// Ranks may find gradients final in any order, and some not at all before the end: the sums are the same. Twice, for
    /// the next update begins anew.
    @Test(arguments: [false, true]) func ranksMayDifferInWhatIsFinalWhen(sharded: Bool) throws {
        let counts = [40, 7, 1, 100, 16, 33]
        let results = try SimulatedCluster.run(ranks: 3) { world in
            let context = ComputeContext(), store = ParameterStore()
            let parameters = counts.indices.map {
                store.add(
                    Parameter(
                        vectors: ["p\($0)"], countEach: counts[$0], placement: $0 == 3 ? .expert : .replicated,
                        initializer: .constant(0)))
            }
            store.materialize(context, seed: 1)
            let groups = try ParallelGroups(world: world, expertParallel: 1, strata: [1])
            let synchronizer = try GradientSynchronizer(
                groups: groups, store: store, context: context, tokenGroups: 3, isSharded: sharded, bucketBytes: 128)
            for update in 1...2 {
                for (index, parameter) in parameters.enumerated() {
                    for i in 0..<parameter.count {
                        parameter.gradient[0, i] = Float((world.rank + 1) * update * (index * 100 + i))
                    }
                }
                let order = [parameters.indices.reversed().map { $0 }, [2, 5, 0], []][(world.rank + update) % 3]
                for index in order { try synchronizer.advance(final: [parameters[index]]) }
                try synchronizer.sum()
                for (index, parameter) in parameters.enumerated() {
                    let section = store.section(parameter.placement).gradients.count
                    let own =
                        sharded ? ParameterShares(of: store, parameter.placement, over: 3).ranges[world.rank] : 0..<section
                    for i in 0..<parameter.count {
                        let isOwn = own.contains(parameter.elements.lowerBound + i)
                        let sum = Float(6 * update * (index * 100 + i))
                        try #require(
                            !isOwn || parameter.gradient[0, i] == sum, "parameter \(index), element \(i), update \(update)")
                    }
                }
            }
            return try synchronizer.norm()
        }
        let squares = counts.indices.reduce(0.0) { sum, index in
            (0..<counts[index]).reduce(sum) { $0 + Double(12 * (index * 100 + $1)) * Double(12 * (index * 100 + $1)) }
        }
        for norm in results { #expect(abs(norm - squares.squareRoot()) < 1e-6 * norm) }
    }

    @Test func sharesAreRunsOfWholeChunks() {
        for (count, ranks) in [(0, 3), (16, 1), (16, 4), (160, 3), (1008, 8), (32_000, 7)] {
            let shares = ParameterShares(of: count, chunkStarts: Array(stride(from: 0, to: count, by: 48)), over: ranks)
            #expect(shares.ranges.count == ranks && shares.ranges.reduce(0) { $0 + $1.count } == count)
            #expect(shares.ranges.allSatisfy { ($0.lowerBound % 48 == 0 || $0.isEmpty) && $0.count <= count / ranks + 48 })
            #expect(zip(shares.ranges, shares.ranges.dropFirst()).allSatisfy { $0.upperBound == $1.lowerBound })
            let middle = count / 4..<count / 2
            #expect(shares.counts(within: middle).reduce(0, +) == middle.count)
        }
    }

    @Test func oneRankKeepsItsOwn() throws {
        let sums = try sum(ranks: 1, expertParallel: nil)[0]
        #expect(sums.dense == [1, 1, 1] && sums.expert == [10, 10])
    }
}
