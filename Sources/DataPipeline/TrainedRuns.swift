import Foundation

/// The runs that were trained on a prepared folder, as far as is known: a file in it with a path a line.
///
/// A run stores token ids, not text: prepared data that are made anew from other text or settings no longer fit it.
struct TrainedRuns {
    static let fileName = "runs"

    let folder: String

    private var file: String { "\(folder)/\(Self.fileName)" }

    /// Those that still exist.
    var paths: [String] {
        guard let text = try? String(contentsOfFile: file, encoding: .utf8) else { return [] }
        return text.split(separator: "\n").map(String.init).filter { FileManager.default.fileExists(atPath: $0) }
    }

    /// Adds a run. Where the folder cannot be written nothing is known of its runs, which keeps nobody from training.
    func add(_ run: String) {
        let path = URL(fileURLWithPath: run).standardizedFileURL.path
        guard !paths.contains(path) else { return }
        let descriptor = open(file, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0o644)
        guard descriptor >= 0 else { return }
        defer { close(descriptor) }
        // One write, so that runs that begin at once do not mix their lines.
        _ = Array("\(path)\n".utf8).withUnsafeBytes { write(descriptor, $0.baseAddress, $0.count) }
    }
}

extension PreparedCorpus {
    /// Takes note in the folder that a run is trained on it, so that `prepare` does not replace it without being told to.
    public func recordRun(_ path: String) { TrainedRuns(folder: self.path).add(path) }
}
