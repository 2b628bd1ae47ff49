import Benchmarks
import Files
import Foundation
import TensorCore

/// The phases of the first updates of a training: `strata train --profile`.
final class TrainingProfile {
    /// Updates that are profiled at most, for files that a browser can draw.
    static let updates = 20

    private let path: String
    private let clock: PhaseClock
    private let lastUpdate: Int

    /// Begins to trace.
    init(path: String, clock: PhaseClock, startingAfter start: Int) {
        self.path = path
        self.clock = clock
        lastUpdate = start + Self.updates
        clock.isTracing = true
    }

    /// Makes sure that the file can be written, and leaves everything as it was.
    ///
    /// - Throws: `CommandFailure` for an empty path, `FileError`.
    static func check(_ path: String) throws {
        try requirePath(path, of: "--profile", names: "a file")
        let isNew = !FileManager.default.fileExists(atPath: path)
        let descriptor = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0o644)
        guard descriptor >= 0 else { throw FileError(path: path, while: "creating the profile") }
        close(descriptor)
        if isNew { unlink(path) }
    }

    /// Writes the file once the updates are done, on all ranks at the same one; returns why it could not, on the first.
    func finish(after update: Int, _ ranks: RankWorld) throws -> FileError? {
        update == lastUpdate ? try finish(ranks) : nil
    }

    /// Writes what there is, if that has not been done. A collective operation.
    func finish(_ ranks: RankWorld) throws -> FileError? {
        guard clock.isTracing else { return nil }
        clock.isTracing = false
        do { try ChromeTrace.write(clock, to: path, ranks.world) } catch let error as FileError { return error }
        return nil
    }
}
