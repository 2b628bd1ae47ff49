import Collectives
import Foundation
import Testing
import _TestSupport
import _TinyRuns

@testable import Checkpoints

/// Damage of every kind to the newest checkpoint: it is named, and the one before it is used.
@Suite(.hangLimit) struct CheckpointDamageTests {
    /// Checkpoints of steps 1 to 3, saved by two ranks.
    private static let original: (folder: TemporaryFolder, states: [ModelState]) = {
        let folder = TemporaryFolder()
        let states = try! SimulatedCluster.run(ranks: 2) { world in
            let run = try TinyRun(world, .stratified(), in: folder.path)
            return try (1...3).map { _ in
                _ = try run.trainer.step()
                try run.save()
                return run.state
            }
        }
        atexit { CheckpointDamageTests.original.folder.remove() }
        return (folder, try! (0..<3).map { step in try ModelState(joining: states.map { $0[step] }) })
    }()

    private static let newest = "checkpoints/step-00000003"

    private static func copy() throws -> TemporaryFolder {
        let folder = TemporaryFolder()
        try FileManager.default.copyItem(
            atPath: "\(original.folder.path)/checkpoints", toPath: "\(folder.path)/checkpoints")
        return folder
    }

    enum Damage: String, CaseIterable, CustomTestStringConvertible {
        case deletedFile, emptiedFile, truncatedFile, lengthenedFile, folderInPlace
        var testDescription: String { rawValue }

        func apply(_ folder: TemporaryFolder, _ name: String) throws {
            let path = "\(folder.path)/\(name)"
            switch self {
            case .deletedFile: try FileManager.default.removeItem(atPath: path)
            case .emptiedFile: try folder.write(name, Data())
            case .truncatedFile: try folder.write(name, folder.data(name).dropLast(1))
            case .lengthenedFile: try folder.write(name, folder.data(name) + Data([0]))
            case .folderInPlace:
                try FileManager.default.removeItem(atPath: path)
                try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
            }
        }
    }

    /// What one rank, and what two, make of a damaged newest checkpoint.
    private static func expectTheOneBefore(_ folder: TemporaryFolder, named file: String) throws {
        var reported: [CheckpointError] = []
        let reader = try CheckpointStore.open("\(folder.path)/checkpoints") { reported.append($0) }
        #expect(reader.manifest.step == 2)
        guard reported.count == 1, case let .damaged(path, _) = reported[0] else {
            Issue.record("reported: \(reported)")
            return
        }
        #expect(path == "\(folder.path)/\(newest)/\(file)")
    }

    @Test(arguments: Damage.allCases, ["manifest.json", "shard-00000.safetensors", "shard-00001.safetensors"])
    func theOneBeforeIsUsed(damage: Damage, file: String) throws {
        let folder = try Self.copy()
        try damage.apply(folder, "\(Self.newest)/\(file)")
        try Self.expectTheOneBefore(folder, named: file)
        for ranks in [1, 2] {
            let states = try SimulatedCluster.run(ranks: ranks) { world in
                let run = try TinyRun(world, .stratified(), in: folder.path)
                try #require(run.trainer.update == 2)
                return run.state
            }
            #expect(try ModelState(joining: states).differences(from: Self.original.states[1]) == [])
        }
    }

    @Test(arguments: ["shard-00000.safetensors", "shard-00001.safetensors"])
    func anyFlippedBitOfAShardIsFound(file: String) throws {
        let folder = try Self.copy(), sound = try folder.data("\(Self.newest)/\(file)")
        for offset in [0, 3, 7, 8, 9, 100, sound.count / 3, sound.count / 2, sound.count - 5, sound.count - 1] {
            var damaged = sound
            damaged[offset] ^= 1 << (offset % 8)
            try folder.write("\(Self.newest)/\(file)", damaged)
            try Self.expectTheOneBefore(folder, named: file)
        }
    }

    @Test func anyFlippedBitOfTheManifestIsFound() throws {
        let folder = try Self.copy(), sound = try folder.data("\(Self.newest)/manifest.json")
        for offset in stride(from: 0, to: sound.count, by: 5) {
            var damaged = sound
            damaged[offset] ^= 1 << (offset % 7)
            try folder.write("\(Self.newest)/manifest.json", damaged)
            try Self.expectTheOneBefore(folder, named: "manifest.json")
        }
    }

    @Test func aManifestOfAnotherVersionIsRefused() throws {
        let folder = try Self.copy()
        var manifest = try CheckpointManifest(folder: "\(folder.path)/\(Self.newest)")
        manifest.formatVersion = 3
        try folder.write("\(Self.newest)/manifest.json", manifest.encoded())
        let error = #expect(throws: CheckpointError.self) { try CheckpointReader(path: "\(folder.path)/\(Self.newest)") }
        #expect("\(error!)".contains("manifest.json: the format version must be at most 2, but is 3"))
    }

    @Test(arguments: [1, 2]) func ifNoneIsSoundAllAreNamed(ranks: Int) throws {
        let folder = try Self.copy()
        try Damage.deletedFile.apply(folder, "checkpoints/step-00000001/shard-00001.safetensors")
        try Damage.truncatedFile.apply(folder, "checkpoints/step-00000002/shard-00000.safetensors")
        try Damage.emptiedFile.apply(folder, "checkpoints/step-00000003/manifest.json")
        let errors = try SimulatedCluster.run(ranks: ranks) { world in
            try #require(throws: CheckpointError.self) { try TinyRun(world, .stratified(), in: folder.path) }
        }
        let text = "\(errors[0])"
        for file in ["step-00000001/shard-00001", "step-00000002/shard-00000", "step-00000003/manifest.json"] {
            #expect(text.contains(file), "\(text)")
        }
        #expect(try folder.names("checkpoints").count == 4, "nothing is removed")
    }

    @Test func parametersOfAnotherShapeAreRefused() throws {
        let folder = try Self.copy()
        _ = try SimulatedCluster.run(ranks: 1) { world in
            var plan = TinyPlan.stratified()
            plan.model.ffnDim = 48
            let error = try #require(throws: CheckpointError.self) { try TinyRun(world, plan, in: folder.path) }
            try #require("\(error)".contains("must be F32 of shape [48, 16], but is F32 of shape [32, 16]"))
        }
    }
}
