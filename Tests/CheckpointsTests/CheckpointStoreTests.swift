import Autograd
import Collectives
import Foundation
import Testing
import _TestSupport
import _TinyRuns

@testable import Checkpoints

/// Saving and loading on any number of ranks.
@Suite(.hangLimit) struct CheckpointStoreTests {
    /// Trains three updates, so that moments are not zero, and saves.
    private static func train(_ plan: TinyPlan, ranks: Int, in folder: TemporaryFolder) throws -> ModelState {
        try ModelState(
            joining: SimulatedCluster.run(ranks: ranks) { world in
                let run = try TinyRun(world, plan, in: folder.path)
                for _ in 0..<3 { _ = try run.trainer.step() }
                try run.save()
                return run.state
            })
    }

    /// Loads on so many ranks, checks, and saves as the next step from there.
    private static func reload(_ plan: TinyPlan, ranks: Int, in folder: TemporaryFolder, step: Int) throws -> ModelState {
        try ModelState(
            joining: SimulatedCluster.run(ranks: ranks) { world in
                var other = plan
                // What is not loaded would show.
                other.training.seed = 1000 + UInt64(step)
                let run = try TinyRun(world, other, in: folder.path)
                try run.save(step: step)
                return run.state
            })
    }

    @Test(arguments: [[4, 4], [3, 5], []], [1, 2, 3, 4]) func loadingGivesWhatWasSaved(strata: [Int], ranks: Int) throws {
        let folder = TemporaryFolder(), plan = TinyPlan(strata: strata)
        let saved = try Self.train(plan, ranks: ranks, in: folder)
        #expect(saved.tensors.values.contains { $0.contains { $0 != 0 } })
        let loaded = try Self.reload(plan, ranks: ranks, in: folder, step: 4)
        #expect(loaded.differences(from: saved) == [])
    }

    /// Invariant 4: parameters and moments, bit for bit, whole and in pieces.
    @Test(arguments: [[4, 4], [3, 5], []], [false, true])
    func anyNumberOfRanksLoadsWhatAnotherSaved(strata: [Int], inPieces: Bool) throws {
        let folder = TemporaryFolder()
        var sharing = TinyPlan(strata: strata)
        sharing.shardOptimizer = inPieces
        let plan = sharing
        let saved = try Self.train(plan, ranks: 1, in: folder)
        for (step, ranks) in zip(4..., [2, 4, 3, 8, 1]) {
            let loaded = try Self.reload(plan, ranks: ranks, in: folder, step: step)
            #expect(loaded.differences(from: saved) == [], "on \(ranks) ranks")
        }
    }

    @Test(arguments: [1, 2, 4, 8]) func everyTensorStandsInOneShard(ranks: Int) throws {
        let folder = TemporaryFolder()
        let saved = try Self.train(.stratified(), ranks: ranks, in: folder)
        let checkpoint = "checkpoints/step-00000003"
        let manifest = try CheckpointManifest(folder: "\(folder.path)/\(checkpoint)")
        #expect(manifest.step == 3 && manifest.seed == 7 && manifest.ranks == ranks)
        #expect(manifest.expertParallel == min(ranks, 4) && manifest.identity == ["model": "tiny"])
        let names = try folder.names(checkpoint)
        #expect(names == (["manifest.json"] + manifest.files.map(\.name)).sorted())
        var found: [String: [UInt32?]] = [:]
        for file in manifest.files {
            let bytes = try folder.data("\(checkpoint)/\(file.name)")
            #expect(bytes.count == file.size)
            for (name, tensor) in try PlainSafeTensors.read(bytes) {
                #expect(found.updateValue(tensor, forKey: name) == nil, "\(name) stands in two shards")
            }
        }
        #expect(found == saved.tensors)
        if ranks > 1 { #expect(manifest.files.count > 1, "ranks share the writing") }
    }

    @Test func theNewestStayAndLatestNamesTheLast() throws {
        let folder = TemporaryFolder()
        _ = try SimulatedCluster.run(ranks: 2) { world in
            var plan = TinyPlan.stratified()
            plan.cadence.keep = 2
            let run = try TinyRun(world, plan, in: folder.path)
            for step in 1...4 {
                _ = try run.trainer.step()
                let path = try run.save()
                try #require(path == "\(folder.path)/checkpoints/step-0000000\(step)")
                if world.rank == 0 {
                    try #require(try folder.data("checkpoints/latest") == Data("step-0000000\(step)\n".utf8))
                }
            }
        }
        #expect(try CheckpointStore.steps("\(folder.path)/checkpoints") == [3, 4])
        #expect(try folder.names("checkpoints") == ["latest", "step-00000003", "step-00000004"])
    }

    /// Resumed before checkpoints that were found damaged, a run must not lose what it saves then.
    @Test func laterCheckpointsDoNotPushOutWhatWasJustSaved() throws {
        let folder = TemporaryFolder()
        _ = try SimulatedCluster.run(ranks: 1) { world in
            var plan = TinyPlan.stratified()
            plan.cadence.keep = 2
            let run = try TinyRun(world, plan, in: folder.path)
            for step in [20, 30, 5, 10, 15] { try run.save(step: step) }
        }
        #expect(try CheckpointStore.steps("\(folder.path)/checkpoints") == [10, 15, 20, 30])
    }

    @Test func whatAnInterruptedSaveLeftIsNoCheckpointAndGoesWithTheNext() throws {
        let folder = TemporaryFolder()
        _ = try Self.train(.stratified(), ranks: 1, in: folder)
        for name in ["step-00000009.partial", "step-00000002.replaced"] {
            try FileManager.default.copyItem(
                atPath: "\(folder.path)/checkpoints/step-00000003", toPath: "\(folder.path)/checkpoints/\(name)")
        }
        #expect(try CheckpointStore.steps("\(folder.path)/checkpoints") == [3])
        _ = try Self.reload(.stratified(), ranks: 1, in: folder, step: 4)
        #expect(try folder.names("checkpoints") == ["latest", "step-00000003", "step-00000004"])
    }

    @Test func savingAgainReplacesTheCheckpoint() throws {
        let folder = TemporaryFolder()
        _ = try Self.train(.stratified(), ranks: 2, in: folder)
        try folder.write("checkpoints/step-00000003/manifest.json", Data("{}".utf8))
        let second = TemporaryFolder()
        let saved = try Self.train(.stratified(), ranks: 2, in: second)
        _ = try SimulatedCluster.run(ranks: 2) { world in
            let source = try TinyRun(world, .stratified(), in: second.path)
            let groups = source.groups
            try CheckpointStore(
                directory: "\(folder.path)/checkpoints", groups: groups, retention: CheckpointRetention(newest: 3, best: 0),
                identity: ["model": "tiny"], context: source.model.context
            ).save(step: 3, seed: 7, state: source.rankState)
        }
        #expect(try Self.reload(.stratified(), ranks: 1, in: folder, step: 4).differences(from: saved) == [])
    }

    @Test(arguments: [1, 2]) func withoutCheckpointsThereIsNoneToOpen(ranks: Int) throws {
        let folder = TemporaryFolder(), directory = "\(folder.path)/checkpoints"
        let opened = try SimulatedCluster.run(ranks: ranks) { world in
            try TinyRun(world, .stratified(), in: folder.path).checkpoints.openNewest(report: { _ in }) != nil
        }
        #expect(opened == Array(repeating: false, count: ranks))
        #expect(throws: CheckpointError.none(directory: directory, rejected: [])) { try CheckpointStore.open(directory) }
    }

    @Test(arguments: [1, 2]) func anotherIdentityIsRefusedWithItsDifferences(ranks: Int) throws {
        let folder = TemporaryFolder()
        var plan = TinyPlan.stratified()
        plan.identity = ["model.dim": "16", "data": "abc", "gone": "x"]
        _ = try Self.train(plan, ranks: ranks, in: folder)
        plan.identity = ["model.dim": "32", "data": "abc", "new": "y"]
        let other = plan
        _ = try SimulatedCluster.run(ranks: ranks) { world in
            let error = try #require(throws: CheckpointError.self) { try TinyRun(world, other, in: folder.path) }
            try #require(
                error
                    == .incompatible(
                        path: "\(folder.path)/checkpoints/step-00000003",
                        differences: [
                            "gone was x, but is absent", "model.dim was 16, but is 32", "new was absent, but is y",
                        ]))
        }
    }
}

/// A reader of the published safetensors format that shares nothing with the project's: 8 bytes of header length, a JSON
/// header, then the data without holes.
enum PlainSafeTensors {
    struct Malformed: Error {}

    static func read(_ file: Data) throws -> [String: [UInt32]] {
        let bytes = [UInt8](file)
        let length = bytes[..<8].enumerated().reduce(0) { $0 | Int($1.element) << (8 * $1.offset) }
        guard let header = try JSONSerialization.jsonObject(with: file[8..<(8 + length)]) as? [String: [String: Any]] else {
            throw Malformed()
        }
        var tensors: [String: [UInt32]] = [:], ranges: [Range<Int>] = []
        for (name, entry) in header {
            guard entry["dtype"] as? String == "F32", let offsets = entry["data_offsets"] as? [Int], offsets.count == 2,
                let shape = entry["shape"] as? [Int], shape.reduce(4, *) == offsets[1] - offsets[0]
            else { throw Malformed() }
            ranges.append(offsets[0]..<offsets[1])
            tensors[name] = stride(from: 8 + length + offsets[0], to: 8 + length + offsets[1], by: 4).map { at in
                (0..<4).reduce(0) { $0 | UInt32(bytes[at + $1]) << (8 * UInt32($1)) }
            }
        }
        var end = 0
        for range in ranges.sorted(by: { $0.lowerBound < $1.lowerBound }) {
            guard range.lowerBound == end else { throw Malformed() }
            end = range.upperBound
        }
        guard 8 + length + end == bytes.count else { throw Malformed() }
        return tensors
    }
}
