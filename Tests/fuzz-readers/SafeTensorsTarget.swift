import Files
import Foundation

/// The header of a safetensors file, and its length.
enum SafeTensorsTarget {
    private static let tokens = [
        "[", "]", "{", "}", ",", ":", "\"", "\\", "\\u0000", "\\ud800", "F32", "I64", "F16", "dtype", "shape", "data_offsets",
        "__metadata__", "{\"a\":", "\u{0}", "\u{FEFF}", " ", "é", "-", "[0,0]", "null", "true",
    ]

    static func run(_ random: inout Mutator, _ folder: String) throws -> Bool {
        let path = "\(folder)/file.safetensors", sample = try bytes()
        let length = Int(sample.withUnsafeBytes { $0.loadUnaligned(as: UInt64.self) })
        let header = random.changed(Data(sample[8..<8 + length]), tokens: tokens)
        // Mostly the true length, so that the reader comes to the header; the data may be cut.
        let claimed = random.below(8) == 0 ? UInt64(random.below(1 << 20)) << UInt64(random.below(45)) : UInt64(header.count)
        var data = Data(sample[(8 + length)...])
        if random.below(8) == 0 { data = data.prefix(random.below(data.count)) }
        try (withUnsafeBytes(of: claimed.littleEndian) { Data($0) } + header + data).write(to: URL(fileURLWithPath: path))
        try readAll(SafeTensorsFile(path: path))
        return true
    }

    private static func bytes() throws -> Data {
        let values = (0..<24).map(Float.init)
        var bytes = Data()
        try values.withUnsafeBufferPointer { buffer in
            func item(_ name: String, _ shape: [Int]) -> SafeTensorsWriter.Item {
                .init(name: name, shape: shape, values: UnsafeBufferPointer(rebasing: buffer[..<shape.reduce(1, *)]))
            }
            try SafeTensorsWriter.write(
                [
                    item("encoder.weight", [2, 3]), item("decoder.weight", [4, 3, 2]), item("bias", [5]),
                    item("empty", [0, 4]),
                ],
                metadata: ["format": "pt", "ü": "\"quoted\""]
            ) { bytes.append(contentsOf: $0) }
        }
        return bytes
    }

    /// Every byte of every tensor: what lies outside the file shows.
    private static func readAll(_ file: SafeTensorsFile) throws {
        for entry in file.entries.values {
            precondition(entry.bytes.count <= 1 << 20, "a tensor larger than its file")
            var bytes = [UInt8](repeating: 0, count: entry.bytes.count)
            try bytes.withUnsafeMutableBytes { try file.read(entry, into: $0) }
        }
    }
}
