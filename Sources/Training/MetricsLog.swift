import Files
import Foundation

/// `metrics.jsonl`: one JSON object a line, appended as training goes on.
///
/// Lines that cannot be written, because the disk is full, are held back and written before the next: training goes on.
public final class MetricsLog {
    private let file: AppendedFile
    private var unwritten = Data()
    private let encoder = JSONEncoder()
    /// Tests put other things in its place.
    package var putOnDisk: (_ descriptor: Int32) -> Int32 {
        get { file.putOnDisk }
        set { file.putOnDisk = newValue }
    }
    /// Why the lines of the latest updates are not in the file; nil while all are.
    public private(set) var failure: FileError?

    /// Opens the log at `path`. Lines of updates after `update`, which an interrupted run wrote and a resumed one will write
    /// again, are removed, and so is what is no whole line.
    ///
    /// - Throws: `FileError`.
    public init(path: String, continuingAfter update: Int) throws {
        let content =
            update > 0 && FileManager.default.fileExists(atPath: path) ? try FileReader(path: path).contents() : Data()
        let kept = Self.lines(of: content, through: update)
        // Damage in the middle of the log: whatever interrupts this, there is the old log or the new one.
        if !content.starts(with: kept) { try FileWriter.replace(path, with: kept) }
        file = try AppendedFile(path: path, after: kept.count)
        encoder.outputFormatting = [.sortedKeys]
        encoder.nonConformingFloatEncodingStrategy = .convertToString(
            positiveInfinity: "inf", negativeInfinity: "-inf", nan: "nan")
    }

    public func append(_ metrics: some Encodable) throws {
        unwritten += try encoder.encode(metrics) + [UInt8(ascii: "\n")]
        flush()
    }

    /// Puts the lines so far on disk, to survive the host's end.
    public func sync() {
        flush()
        if failure == nil { failure = file.sync() }
    }

    /// - Throws: `FileError` if lines are still held back, or may not be on disk.
    public func finish() throws {
        sync()
        if let failure { throw failure }
    }

    private func flush() {
        failure = file.append(unwritten)
        if failure == nil { unwritten = Data() }
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
}
