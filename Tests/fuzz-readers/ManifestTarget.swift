import Checkpoints
import Files
import Foundation
import Training

/// A manifest whose bytes are changed; or one whose values are, and which bears the checksum of what it has become.
enum ManifestTarget {
    private static let tokens = [
        "{", "}", "[", "]", ",", ":", "\"", "\\", "\\u0000", "null", "true", "files", "name", "checksum", "size", "step",
        "identity",
        "../", "manifest.json", "\u{0}", "é", " ", "\n",
    ]

    static func run(_ random: inout Mutator, _ folder: String) throws -> Bool {
        let path = "\(folder)/manifest"
        if !FileManager.default.fileExists(atPath: path) { try Folder.create(path) }
        let record = FileRecord(name: "shard-00000.safetensors", size: 1234, checksum: "0123456789abcdef")
        var manifest = CheckpointManifest(
            step: 1000, seed: 42, ranks: 2, expertParallel: 2, validationLoss: 1.25,
            identity: ["model.dim": "512", "data": "f00d"],
            files: [record])
        let isResealed = random.below(2) == 0
        if isResealed { change(&manifest, record, &random) }
        let sealed = try manifest.encoded()
        let bytes = isResealed ? sealed : random.changed(sealed, tokens: tokens)
        try bytes.write(to: URL(fileURLWithPath: "\(path)/manifest.json"))
        if !isResealed, bytes != sealed, (try? CheckpointManifest(folder: path)) != nil {
            FuzzReaders.fail("a changed manifest was taken for sound")
        }
        // No shard that it may list is there.
        let reader = try CheckpointReader(path: path)
        return reader.tensors.names.isEmpty
    }

    private static func change(_ manifest: inout CheckpointManifest, _ record: FileRecord, _ random: inout Mutator) {
        let numbers = [-1, 0, 1, 2, 3, Int.max, Int.min, 1 << 40]
        switch random.below(7) {
        case 0: (manifest.step, manifest.applied) = (random.pick(numbers), random.pick(numbers))
        case 1: manifest.formatVersion = random.pick(numbers)
        case 2: (manifest.ranks, manifest.expertParallel) = (random.pick(numbers), random.pick(numbers))
        case 3: manifest.earlierUpdates = random.pick(numbers)
        case 4: manifest.files = Array(repeating: record, count: random.below(2000))
        case 5:
            let name = String(decoding: random.changed(Data(record.name.utf8), tokens: tokens), as: UTF8.self)
            manifest.files = [FileRecord(name: name, size: random.pick(numbers), checksum: record.checksum)]
        default: manifest.files = []
        }
    }
}
