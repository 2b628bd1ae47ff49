import Foundation
import TensorCore

/// `metrics.jsonl`: one JSON object a line, appended as training goes on.
///
/// Lines that cannot be written, because the disk is full, are held back and written before the next: training goes on.
public final class MetricsLog {
    private let path: String
    private let descriptor: Int32
    /// Bytes of whole lines in the file.
    private var size: Int
    private var unwritten = Data()
    private let encoder = JSONEncoder()
    /// Puts on disk what was written. Tests put other things in its place.
    var putOnDisk: (_ descriptor: Int32) -> Int32 = { fsync($0) }
    /// Why the lines of the latest updates are not in the file; nil while all are.
    public private(set) var failure: FileError?

    /// Opens the log at `path`. Lines of updates after `update`, which an interrupted run wrote and a resumed one will write
    /// again, are removed, and so is what is no whole line.
    ///
    /// - Throws: `FileError`.
    public init(path: String, continuingAfter update: Int) throws {
        self.path = path
        let content =
            update > 0 && FileManager.default.fileExists(atPath: path) ? try FileReader(path: path).contents() : Data()
        let kept = Self.lines(of: content, through: update)
        if !content.starts(with: kept) { try Self.replace(path, kept) }
        size = kept.count
        descriptor = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0o644)
        guard descriptor >= 0 else { throw FileError(path: path, while: "opening") }
        guard ftruncate(descriptor, off_t(size)) == 0 else { throw FileError(path: path, while: "shortening") }
        encoder.outputFormatting = [.sortedKeys]
        encoder.nonConformingFloatEncodingStrategy = .convertToString(
            positiveInfinity: "inf", negativeInfinity: "-inf", nan: "nan")
    }

    // Also runs where `init` throws: by then all properties are set.
    deinit { if descriptor >= 0 { close(descriptor) } }

    public func append(_ metrics: some Encodable) throws {
        unwritten += try encoder.encode(metrics) + [UInt8(ascii: "\n")]
        flush()
    }

    /// Puts the lines so far on disk, to survive the host's end.
    public func sync() {
        flush()
        if failure == nil, putOnDisk(descriptor) != 0 { failure = FileError(path: path, while: "writing") }
    }

    /// - Throws: `FileError` if lines are still held back, or may not be on disk.
    public func finish() throws {
        sync()
        if let failure { throw failure }
    }

    private func flush() {
        failure = nil
        let written = unwritten.withUnsafeBytes { bytes in
            var written = 0
            while written < bytes.count {
                let count = pwrite(descriptor, bytes.baseAddress! + written, bytes.count - written, off_t(size + written))
                if count >= 0 { written += count } else if errno != EINTR { return -1 }
            }
            return written
        }
        if written < 0 {
            failure = FileError(path: path, while: "writing")
            // Nobody is to read half a line.
            ftruncate(descriptor, off_t(size))
        } else {
            size += written
            unwritten = Data()
        }
    }

    private static func lines(of content: Data, through update: Int) -> Data {
        struct Line: Decodable { let update: Int }
        var kept = Data()
        for line in content.split(separator: UInt8(ascii: "\n")) {
            if let parsed = try? JSONDecoder().decode(Line.self, from: line), parsed.update <= update {
                kept += line + [UInt8(ascii: "\n")]
            }
        }
        return kept
    }

    /// Damage in the middle of the log: whatever interrupts this, there is the old log or the new one.
    private static func replace(_ path: String, _ content: Data) throws {
        let writer = try FileWriter(path: "\(path).partial")
        try content.withUnsafeBytes { try writer.write($0) }
        _ = try writer.finish()
        try Folder.rename("\(path).partial", to: path)
    }
}
