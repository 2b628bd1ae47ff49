import Autograd
import Collectives
import Files
import Foundation
import TensorCore
import Testing
import _TestSupport
import _TinyRuns

@testable import Checkpoints

/// Moments that are spread over ranks: any partition is saved, and loaded into any other.
@Suite(.hangLimit) struct CheckpointPieceTests {
    /// Adam's moments of a run, cut so that rank r of `cuts.count + 1` has what lies between two fractions of the section.
    private static func state(_ run: TinyRun, cuts: [Double], fill: Float? = nil) -> RankState {
        func share(_ placement: ParameterPlacement) -> RankState.Moments {
            let moments = run.optimizer.moments(placement), count = moments.first.count
            let ends = [0] + cuts.map { Int(Double(count) * $0) } + [count], rank = run.groups.holders(placement).rank
            let range = ends[rank]..<ends[rank + 1]
            func copy(_ tensor: Tensor) -> Tensor {
                let context = run.model.context
                let elements = fill.map { Array(repeating: $0, count: range.count) } ?? Array(tensor.buffer[range])
                return context.tensor(elements, rows: 1, columns: range.count)
            }
            return RankState.Moments(elements: range, first: copy(moments.first), second: copy(moments.second))
        }
        return RankState(store: run.model.store, moments: ByPlacement(share))
    }

    private static func trained(_ world: any Communicator, _ folder: TemporaryFolder) throws -> TinyRun {
        var plan = TinyPlan.stratified()
        // All ranks are replicas of each other: experts' moments are spread as well.
        plan.expertParallel = 1
        let run = try TinyRun(world, plan, in: folder.path)
        for _ in 0..<2 { _ = try run.trainer.step() }
        return run
    }

    /// Cuts anywhere: within tensors, at their ends, with empty shares, of one element.
    private static let partitions: [[Double]] = [[], [0.5], [0.001], [0.3, 0.3], [0, 0.77], [0.1, 0.100_05, 0.9]]

    @Test(arguments: partitions) func anyPartitionIsLoadedIntoAnyOther(saved: [Double]) throws {
        let folder = TemporaryFolder()
        let expected = try SimulatedCluster.run(ranks: saved.count + 1) { world in
            let run = try Self.trained(world, folder)
            try run.checkpoints.save(step: 2, seed: 7, state: Self.state(run, cuts: saved))
            return run.state
        }[0]
        for loaded in Self.partitions {
            _ = try SimulatedCluster.run(ranks: loaded.count + 1) { world in
                var plan = TinyPlan.stratified()
                (plan.expertParallel, plan.training.seed) = (1, 99)
                let run = try TinyRun(world, plan), state = Self.state(run, cuts: loaded, fill: .nan)
                let reader = try CheckpointReader(path: "\(folder.path)/checkpoints/step-00000002")
                try reader.load(into: state)
                for placement in ParameterPlacement.allCases {
                    let moments = state.moments[placement]
                    for location in run.model.store.locations(placement) {
                        let name = location.slice.name, start = location.range.lowerBound
                        let values = state.store.section(placement).values.buffer[location.range].map(\.bitPattern)
                        try #require(values == expected.tensors[name])
                        for (prefix, tensor) in [("adam.m.", moments.first), ("adam.v.", moments.second)] {
                            let held = location.range.clamped(to: moments.elements), first = moments.elements.lowerBound
                            guard !held.isEmpty else { continue }
                            let loaded = tensor.buffer[held.lowerBound - first..<held.upperBound - first].map(\.bitPattern)
                            let saved = expected.tensors[prefix + name]![held.lowerBound - start..<held.upperBound - start]
                            try #require(loaded == Array(saved), "\(prefix)\(name)")
                        }
                    }
                }
            }
        }
    }

    /// A tensor that one rank has all of keeps its shape, and its plain name means the same to any reader.
    @Test func wholeTensorsStayWholeAndPiecesSayWhereTheyBelong() throws {
        let folder = TemporaryFolder()
        _ = try SimulatedCluster.run(ranks: 2) { world in
            let run = try Self.trained(world, folder)
            try run.checkpoints.save(step: 2, seed: 7, state: Self.state(run, cuts: [0.5]))
        }
        var pieces: [String: [(Range<Int>, [Int])]] = [:], whole: Set<String> = []
        for rank in 0..<2 {
            let file = try SafeTensorsFile(path: "\(folder.path)/checkpoints/step-00000002/shard-0000\(rank).safetensors")
            for (name, entry) in file.entries {
                if let text = file.metadata[name] {
                    let piece = try #require(TensorPiece(text))
                    #expect(entry.shape == [entry.count] && name.hasPrefix("adam."))
                    pieces[name, default: []].append((piece.begin..<piece.begin + entry.count, piece.shape))
                } else {
                    #expect(whole.insert(name).inserted)
                }
            }
            #expect(Set(file.metadata.keys).isSubset(of: file.entries.keys))
        }
        // Each section is cut once, in the moments of one tensor or between two.
        #expect(!pieces.isEmpty && pieces.count <= 4 && pieces.keys.allSatisfy { !whole.contains($0) })
        for (name, parts) in pieces {
            #expect(parts.count == 2 && parts[0].0.upperBound == parts[1].0.lowerBound && parts[0].1 == parts[1].1, "\(name)")
        }
    }

    /// Invariant 4 through a run's life, with pieces on disk at every change.
    @Test(arguments: [false, true]) func aRunThatChangesItsRanksHasTheUndisturbedLosses(inPieces: Bool) throws {
        let folder = TemporaryFolder(),
            undisturbed = try SimulatedCluster.run(ranks: 1) { world in
                let run = try TinyRun(world, .stratified())
                return try (0..<15).map { _ in try run.trainer.step().metrics.loss }
            }[0]
        var losses: [Double] = []
        for ranks in [1, 2, 4, 3, 1] {
            losses += try SimulatedCluster.run(ranks: ranks) { world in
                var plan = TinyPlan.stratified()
                plan.shardOptimizer = inPieces
                let run = try TinyRun(world, plan, in: folder.path)
                let losses = try (0..<3).map { _ in try run.trainer.step().metrics.loss }
                try run.save()
                return losses
            }[0]
        }
        #expect(losses.count == 15)
        #expect(losses == undisturbed)
        let files = try CheckpointManifest(folder: "\(folder.path)/checkpoints/step-00000012").files
        #expect(files.count == 3)
        let hasPieces = try files.contains { file in
            try !SafeTensorsFile(path: "\(folder.path)/checkpoints/step-00000012/\(file.name)").metadata.isEmpty
        }
        #expect(hasPieces == inPieces)
    }
}
