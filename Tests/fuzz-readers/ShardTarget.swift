import Checkpoints
import Files
import Foundation
import Training

/// Shards that are changed after the manifest, which a reader that was told not to verify takes for sound; and, verified, must
/// not.
enum ShardTarget {
    private static let tokens = [
        "{\"begin\":0,\"shape\":[4,4]}", "begin", "shape", "[4,4]", "adam.m.a", "adam.v.a", "a", "b", "\\\"", "{", "}", "[",
        "]", ",",
        ":", "__metadata__", "F32",
    ]

    static func run(_ random: inout Mutator, _ folder: String) throws -> Bool {
        let path = "\(folder)/shards", names = ["shard-00000.safetensors", "shard-00001.safetensors"]
        if !FileManager.default.fileExists(atPath: path) { try Folder.create(path) }
        var originals = [Data](), records = [FileRecord]()
        for (index, name) in names.enumerated() {
            let writer = try FileWriter(path: "\(path)/\(name)")
            var data = Data()
            try shard(index).withUnsafeBytes {
                data.append(contentsOf: $0)
                try writer.write($0)
            }
            records.append(try writer.finish())
            originals.append(data)
        }
        let manifest = CheckpointManifest(
            step: 3, seed: 1, ranks: 2, expertParallel: 1, validationLoss: 2.5, identity: ["model": "x"], files: records)
        try manifest.encoded().write(to: URL(fileURLWithPath: "\(path)/manifest.json"))
        let damaged = random.below(2)
        var bytes = originals[damaged]
        if random.below(4) == 0 {
            bytes = random.changed(bytes, tokens: tokens)
        } else {
            let length = Int(bytes.withUnsafeBytes { $0.loadUnaligned(as: UInt64.self) })
            let header = random.changed(Data(bytes[8..<8 + length]), tokens: tokens)
            bytes = withUnsafeBytes(of: UInt64(header.count).littleEndian) { Data($0) } + header + Data(bytes[(8 + length)...])
        }
        try bytes.write(to: URL(fileURLWithPath: "\(path)/\(names[damaged])"))
        if bytes != originals[damaged] {
            do {
                _ = try CheckpointReader(path: path)
                FuzzReaders.fail("a changed shard was taken for sound")
            } catch is CheckpointError {}
        }
        let catalog = try CheckpointReader(path: path, verify: false).tensors
        for name in catalog.names {
            let count = catalog.shape(name)!.reduce(1, *)
            precondition(count <= 1 << 18, "a tensor larger than its files")
            var values = [Float](repeating: .nan, count: count)
            try values.withUnsafeMutableBufferPointer { try catalog.read(name, 0..<count, into: $0.baseAddress!) }
        }
        return true
    }

    /// Each has a tensor of its own and its half of the moments of one.
    private static func shard(_ index: Int) throws -> Data {
        let values = (0..<16).map { Float($0 + 100 * index) }
        var bytes = Data()
        try values.withUnsafeBufferPointer { buffer in
            func item(_ name: String, _ shape: [Int]) -> SafeTensorsWriter.Item {
                .init(name: name, shape: shape, values: UnsafeBufferPointer(rebasing: buffer[..<shape.reduce(1, *)]))
            }
            let piece = "{\"begin\":\(8 * index),\"shape\":[4,4]}"
            try SafeTensorsWriter.write(
                [item(index == 0 ? "a" : "b", [4, 4]), item("adam.m.a", [8]), item("adam.v.a", [8])],
                metadata: ["adam.m.a": piece, "adam.v.a": piece]
            ) { bytes.append(contentsOf: $0) }
        }
        return bytes
    }
}
