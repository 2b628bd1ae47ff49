import Collectives
import Files
import Foundation
import TensorCore
import Testing
import _TestSupport
import _TinyRuns

@testable import Checkpoints

/// Any single changed byte of any file of a checkpoint is found when it is opened.
@Suite(.hangLimit) struct CheckpointCorruptionTests {
    private static func save(_ folder: TemporaryFolder, inPieces: Bool) throws -> String {
        _ = try SimulatedCluster.run(ranks: 2) { world in
            var plan = TinyPlan.stratified()
            plan.shardOptimizer = inPieces
            let run = try TinyRun(world, plan, in: folder.path)
            _ = try run.trainer.step()
            try run.save()
        }
        return "\(folder.path)/checkpoints/step-00000001"
    }

    private static func change(_ path: String, at offset: Int, by mask: UInt8) throws {
        let file = try FileHandle(forUpdating: URL(fileURLWithPath: path))
        defer { try? file.close() }
        try file.seek(toOffset: UInt64(offset))
        let byte = try #require(try file.read(upToCount: 1)?.first)
        try file.seek(toOffset: UInt64(offset))
        try file.write(contentsOf: [byte ^ mask])
    }

    /// Every byte of the manifest, and 1,000 of each shard: the length, the header's beginning, and anywhere.
    @Test(arguments: [false, true]) func everyChangedByteIsFound(inPieces: Bool) throws {
        let folder = TemporaryFolder(), path = try Self.save(folder, inPieces: inPieces)
        #expect(CheckpointReader.problems("\(folder.path)/checkpoints", 1) == [])
        var generator = RandomKey(seed: inPieces ? 1 : 2), positions = 0
        for name in try folder.names("checkpoints/step-00000001") {
            let file = "\(path)/\(name)", size = try folder.data("checkpoints/step-00000001/\(name)").count
            let count = name == CheckpointManifest.fileName ? size : 1000
            for index in 0..<count {
                generator = generator.derived(index)
                let offset =
                    name == CheckpointManifest.fileName || index < 100 ? index : Int(generator.uniform(0) * Float(size - 1))
                let mask = UInt8(1 + Int(generator.uniform(1) * 254))
                try Self.change(file, at: offset, by: mask)
                do {
                    _ = try CheckpointReader(path: path)
                    Issue.record("byte \(offset) of \(name), changed by \(mask), was not found")
                } catch let CheckpointError.damaged(damaged, _) {
                    if damaged != file { Issue.record("byte \(offset) of \(name): \(damaged) is named") }
                }
                try Self.change(file, at: offset, by: mask)
                positions += 1
            }
        }
        #expect(positions >= 2000)
        #expect(CheckpointReader.problems("\(folder.path)/checkpoints", 1) == [], "all is as it was")
    }

    /// Files that are missing, cut, or too many, each named by verification; what loading needs is refused by it.
    @Test func everyKindOfDamageIsNamed() throws {
        let folder = TemporaryFolder(), path = try Self.save(folder, inPieces: true), directory = "\(folder.path)/checkpoints"
        let shards = [0, 1].map { "\(path)/shard-0000\($0).safetensors" }
        func expect(_ expected: [(path: String, reason: String)], loads: Bool = false) throws {
            let found = CheckpointReader.problems(directory, 1)
            try #require(found.count == expected.count, "\(found)")
            for (error, (path, reason)) in zip(found, expected) {
                guard case let .damaged(damaged, text) = error else { throw error }
                #expect(damaged == path && text.contains(reason), "\(error)")
            }
            if loads {
                #expect(try CheckpointStore.open(directory).manifest.step == 1)
            } else {
                #expect(throws: CheckpointError.self) { try CheckpointStore.open(directory) }
            }
        }
        func withChange(_ path: String, to content: Data?, _ body: () throws -> Void) throws {
            let before = FileManager.default.contents(atPath: path)
            try? FileManager.default.removeItem(atPath: path)
            try content?.write(to: URL(fileURLWithPath: path))
            try body()
            try? FileManager.default.removeItem(atPath: path)
            try before?.write(to: URL(fileURLWithPath: path))
        }
        let manifest = "\(path)/manifest.json", whole = try Data(contentsOf: URL(fileURLWithPath: shards[1]))
        try withChange(manifest, to: nil) { try expect([(manifest, "missing")]) }
        try withChange(manifest, to: Data()) { try expect([(manifest, "not what was written")]) }
        try withChange(shards[1], to: nil) { try expect([(shards[1], "opening failed")]) }
        try withChange(shards[1], to: whole.dropLast(7)) {
            try expect([(shards[1], "must have \(whole.count) bytes, but has \(whole.count - 7)")])
        }
        try withChange(shards[0], to: nil) {
            try withChange(shards[1], to: whole + [0]) { try expect([(shards[0], "opening"), (shards[1], "bytes")]) }
        }
        // Nothing that loading would look at.
        try withChange("\(path)/shard-00002.safetensors", to: whole) {
            try expect([("\(path)/shard-00002.safetensors", "does not list it")], loads: true)
        }
        try expect([], loads: true)
    }

    /// A manifest that is sound in itself, but lists one shard twice: every tensor of it would be there twice.
    @Test func tensorsThatStandTwiceAreFound() throws {
        let folder = TemporaryFolder(), path = try Self.save(folder, inPieces: true)
        var manifest = try CheckpointManifest(folder: path)
        manifest.files.append(manifest.files[0])
        try folder.write("checkpoints/step-00000001/manifest.json", manifest.encoded())
        let problems = CheckpointReader.problems("\(folder.path)/checkpoints", 1)
        #expect(problems.count == (try SafeTensorsFile(path: "\(path)/shard-00000.safetensors").entries.count))
        #expect(problems.allSatisfy { "\($0)".contains("must have each element once") })
        #expect(throws: CheckpointError.self) { try CheckpointReader(path: path) }
    }

    /// Names that lead out of the folder are no names of shards.
    @Test(arguments: ["../step-00000001/shard-00000.safetensors", "/etc/hostname"])
    func namesOutsideTheFolderAreRefused(name: String) throws {
        let folder = TemporaryFolder(), path = try Self.save(folder, inPieces: false)
        var manifest = try CheckpointManifest(folder: path)
        manifest.files[0] = FileRecord(name: name, size: manifest.files[0].size, checksum: manifest.files[0].checksum)
        try folder.write("checkpoints/step-00000001/manifest.json", manifest.encoded())
        let error = #expect(throws: CheckpointError.self) { try CheckpointReader(path: path) }
        #expect(error?.description.contains("must list names of files in its folder") == true)
    }

    /// A pipe in place of a file must not be waited for.
    @Test(arguments: ["manifest.json", "shard-00000.safetensors"]) func aPipeIsNoFile(name: String) throws {
        let folder = TemporaryFolder(), path = try Self.save(folder, inPieces: false)
        try FileManager.default.removeItem(atPath: "\(path)/\(name)")
        try #require(mkfifo("\(path)/\(name)", 0o600) == 0)
        let error = #expect(throws: CheckpointError.self) { try CheckpointReader(path: path) }
        #expect(error?.description.contains("must be a regular file") == true)
    }
}
