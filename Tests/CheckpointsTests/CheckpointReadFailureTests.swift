import Collectives
import Files
import Foundation
import Testing
import _TestSupport
import _TinyRuns

@testable import Checkpoints

/// What the system does not read is neither damaged nor absent: a run must not go on from something older, or from nothing.
@Suite(.hangLimit) struct CheckpointReadFailureTests {
    /// Checkpoints of updates 1 and 2, by two ranks, and metrics of some run.
    private static func save() throws -> TemporaryFolder {
        let folder = TemporaryFolder()
        _ = try SimulatedCluster.run(ranks: 2) { world in
            let run = try TinyRun(world, .stratified(), in: folder.path)
            for step in 1...2 { try run.save(step: step) }
        }
        try folder.write("metrics.jsonl", Data("{\"update\":1}\n".utf8))
        return folder
    }

    /// In its place a link to itself: the system opens it for nobody, whatever his permissions.
    private static func makeUnreadable(_ path: String) throws {
        try FileManager.default.moveItem(atPath: path, toPath: path + ".away")
        try FileManager.default.createSymbolicLink(atPath: path, withDestinationPath: path)
    }

    /// What starting a run there throws, on each of several ranks.
    private static func errors(ranks: Int, _ folder: TemporaryFolder) throws -> [FileError] {
        let metrics = try folder.data("metrics.jsonl")
        let errors = try SimulatedCluster.run(ranks: ranks) { world in
            try #require(throws: FileError.self) { try TinyRun(world, .stratified(), in: folder.path) }
        }
        #expect(Set(errors.map(\.description)).count == 1)
        #expect(try folder.data("metrics.jsonl") == metrics)
        return errors
    }

    @Test func aFolderThatIsNotThereHasNoCheckpoints() throws {
        let folder = try Self.save()
        #expect(try CheckpointStore.steps("\(folder.path)/none") == [])
        let file = #expect(throws: FileError.self) { try CheckpointStore.steps("\(folder.path)/metrics.jsonl") }
        #expect(file?.code == ENOTDIR)
        try Self.makeUnreadable("\(folder.path)/checkpoints")
        let link = #expect(throws: FileError.self) { try CheckpointStore.steps("\(folder.path)/checkpoints") }
        #expect(link?.code == ELOOP && link?.reason.hasPrefix("listing failed: ") == true)
    }

    @Test(arguments: [1, 2]) func aFolderThatCannotBeListedBeginsNoNewRun(ranks: Int) throws {
        let folder = try Self.save()
        try Self.makeUnreadable("\(folder.path)/checkpoints")
        let error = try Self.errors(ranks: ranks, folder)[0]
        #expect(error.path == "\(folder.path)/checkpoints" && error.reason.hasPrefix("listing failed: "))
    }

    @Test(arguments: [1, 2], ["manifest.json", "shard-00000.safetensors", "shard-00001.safetensors"])
    func aFileThatCannotBeReadIsNotDamaged(ranks: Int, name: String) throws {
        let folder = try Self.save(), directory = "\(folder.path)/checkpoints", path = "\(directory)/step-00000002/\(name)"
        try Self.makeUnreadable(path)
        let error = try Self.errors(ranks: ranks, folder)[0]
        #expect(error.path == path && error.reason.hasPrefix("opening failed: "))
        #expect(error.reason.hasSuffix("(on rank 0)") == (ranks > 1))
        let alone = #expect(throws: FileError.self) { try CheckpointStore.open(directory) { Issue.record("\($0)") } }
        #expect(alone?.path == path)
        #expect(CheckpointReader.problems(directory, 2).first?.description.hasPrefix("\(path): opening failed") == true)
        guard name != CheckpointManifest.fileName else { return }
        // Damage beside it decides: the one before is taken.
        try folder.write("checkpoints/step-00000002/manifest.json", Data())
        _ = try SimulatedCluster.run(ranks: ranks) { world in
            try #require(try TinyRun(world, .stratified(), in: folder.path).trainer.update == 1)
        }
    }

    /// Folders that do not look the same to all: it is the first rank's list that is followed, and nobody waits for ever.
    @Test(arguments: [0, 1]) func theFirstRankDecides(blind: Int) throws {
        let folder = try Self.save()
        let outcomes = try SimulatedCluster.run(ranks: 2) { world in
            let run = try TinyRun(world, .stratified(), in: "/nowhere")
            let store = CheckpointStore(
                directory: "\(folder.path)/\(world.rank == blind ? "none" : "checkpoints")", groups: run.groups,
                retention: CheckpointRetention(newest: 1, best: 0), identity: run.plan.identity, context: run.model.context)
            do { return try store.openNewest(report: { _ in }) == nil ? "none" : "one" } catch { return "\(type(of: error))" }
        }
        #expect(outcomes == (blind == 0 ? ["none", "none"] : ["CheckpointError", "CheckpointError"]))
    }

    /// Each rank compares the checksums of its share alone, and together they compare all.
    @Test(arguments: [0, 1]) func checksumsAreSharedOut(shard: Int) throws {
        let folder = try Self.save(), name = "checkpoints/step-00000002/shard-0000\(shard).safetensors"
        var bytes = try folder.data(name)
        bytes[bytes.count - 1] ^= 1
        try folder.write(name, bytes)
        let path = "\(folder.path)/checkpoints/step-00000002"
        _ = try CheckpointReader(path: path, verifyingAs: 1 - shard, of: 2)
        #expect(throws: CheckpointError.self) { try CheckpointReader(path: path, verifyingAs: shard, of: 2) }
        for ranks in [1, 2, 3] {
            let reports = try SimulatedCluster.run(ranks: ranks) { world in
                let run = try TinyRun(world, .stratified(), in: folder.path)
                try #require(run.trainer.update == 1)
                var reports: [String] = []
                _ = try run.checkpoints.openNewest { reports.append($0.description) }
                return reports
            }
            #expect(reports == Array(repeating: reports[0], count: ranks) && reports[0].count == 1)
            #expect(reports[0][0].hasPrefix("\(folder.path)/\(name): its checksum must be "))
        }
    }
}
