import Files

/// The sentences of one side of one part: all tokens after one another, and where each sentence begins.
///
/// Little-endian files: `.tokens` holds unsigned 16-bit ids for a vocabulary of up to 65536 tokens, else signed 32-bit ones;
/// `.offsets` holds count + 1 unsigned 64-bit positions in tokens.
final class TokenShard: Sendable {
    let count: Int
    private let tokens: MappedFile
    private let offsets: MappedFile
    private let width: Int

    /// - Throws: `DataError.prepared` for files that do not fit each other; the checksums are not computed.
    init(stem: String, count: Int, tokenCount: Int, width: Int) throws {
        self.count = count
        self.width = width
        tokens = try MappedFile(path: stem + ".tokens")
        offsets = try MappedFile(path: stem + ".offsets")
        for (file, name, expected) in [
            (tokens, ".tokens", tokenCount * width), (offsets, ".offsets", (count + 1) * MemoryLayout<UInt64>.size),
        ] where file.bytes.count != expected {
            throw DataError(
                .prepared,
                "\(stem)\(name): must be \(expected) bytes, but is \(file.bytes.count): run "
                    + "strata prepare CONFIG again")
        }
        guard offset(0) == 0, offset(count) == UInt64(tokenCount) else {
            throw DataError(
                .prepared,
                "\(stem).offsets: must go from 0 to \(tokenCount), but goes from \(offset(0)) to \(offset(count)): "
                    + "run strata prepare CONFIG again")
        }
    }

    /// Tokens of a sentence.
    func length(_ index: Int) -> Int { range(index).count }

    func append(_ index: Int, to output: inout [Int32]) {
        let range = range(index)
        let bytes = UnsafeRawBufferPointer(rebasing: tokens.bytes[(range.lowerBound * width)..<(range.upperBound * width)])
        if width == 2 {
            for token in bytes.assumingMemoryBound(to: UInt16.self) { output.append(Int32(UInt16(littleEndian: token))) }
        } else {
            for token in bytes.assumingMemoryBound(to: Int32.self) { output.append(Int32(littleEndian: token)) }
        }
    }

    func sentence(_ index: Int) -> [Int32] {
        var output: [Int32] = []
        append(index, to: &output)
        return output
    }

    private func range(_ index: Int) -> Range<Int> {
        precondition(index >= 0 && index < count, "the sentence must be within the shard")
        let begin = offset(index)
        let end = offset(index + 1)
        precondition(begin <= end && end <= UInt64(tokens.bytes.count / width), "the shard is damaged: verify() was not called")
        return Int(begin)..<Int(end)
    }

    private func offset(_ index: Int) -> UInt64 {
        UInt64(littleEndian: offsets.bytes.load(fromByteOffset: index * MemoryLayout<UInt64>.size, as: UInt64.self))
    }
}

/// Writes a `TokenShard`.
struct TokenShardWriter {
    private let tokens: FileWriter
    private let offsets: FileWriter
    private let width: Int
    private var written: UInt64 = 0

    init(stem: String, width: Int) throws {
        tokens = try FileWriter(path: stem + ".tokens")
        offsets = try FileWriter(path: stem + ".offsets")
        self.width = width
        try writeOffset()
    }

    mutating func append(_ sentence: some RandomAccessCollection<Int32>) throws {
        if width == 2 {
            try sentence.map { UInt16($0).littleEndian }.withUnsafeBytes { try tokens.write($0) }
        } else {
            try sentence.map(\.littleEndian).withUnsafeBytes { try tokens.write($0) }
        }
        written += UInt64(sentence.count)
        try writeOffset()
    }

    func finish() throws -> [FileRecord] { [try tokens.finish(), try offsets.finish()] }

    private func writeOffset() throws {
        try withUnsafeBytes(of: written.littleEndian) { try offsets.write($0) }
    }
}
