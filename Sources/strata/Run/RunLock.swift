import Files
import Foundation
import Runs

/// Keeps two trainings from writing one run folder: every rank holds `lock` of the folder, shared, until its process ends, and
/// a training begins by having it alone. So ranks that outlived their `mpirun` are waited for, and a second training is refused.
///
/// The lock is the file system's (`flock`): it goes with the process that held it, however that ended.
final class RunLock {
    private let path: String
    private let descriptor: Int32

    /// How long a training waits for the ranks of another to end.
    static let patience = 10.0

    /// Takes the lock alone: the first rank, before any other calls `init(joining:)`. `report` is told once if it has to wait.
    ///
    /// - Throws: `CommandFailure` if another training holds it after `patience` seconds; `FileError`.
    init(_ folder: RunFolder, patience: Double = patience, report: (String) -> Void) throws {
        path = folder.lock
        descriptor = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0o644)
        guard descriptor >= 0 else { throw FileError(path: path, while: "creating") }
        let deadline = ContinuousClock.now + .seconds(patience)
        var isToldOf = false
        while try !take(LOCK_EX, report) {
            guard ContinuousClock.now < deadline else { throw busy(folder) }
            if !isToldOf { report("waiting for another training to leave \(folder.path): \(holder)") }
            isToldOf = true
            usleep(50_000)
        }
        let text = "process \(getpid()) on \(ProcessInfo.processInfo.hostName)\n"
        ftruncate(descriptor, 0)
        _ = text.withCString { pwrite(descriptor, $0, strlen($0), 0) }
        // Giving up being alone is no single step: another training may come in between, and then this one has lost.
        guard try take(LOCK_SH, { _ in }) else { throw busy(folder) }
    }

    /// Takes the lock beside the first rank's.
    init(joining folder: RunFolder) throws {
        path = folder.lock
        descriptor = open(path, O_RDWR | O_CLOEXEC)
        guard descriptor >= 0 else { throw FileError(path: path, while: "opening") }
        guard try take(LOCK_SH, { _ in }) else { throw busy(folder) }
    }

    deinit { if descriptor >= 0 { close(descriptor) } }

    /// False if others hold it.
    private func take(_ kind: Int32, _ report: (String) -> Void) throws -> Bool {
        while flock(descriptor, kind | LOCK_NB) != 0 {
            switch errno {
            case EWOULDBLOCK: return false
            case EINTR: continue
            case ENOLCK, EOPNOTSUPP, ENOSYS:
                report("warning: \(path): this file system has no locks: see to it that no other training writes this run")
                return true
            default: throw FileError(path: path, while: "locking")
            }
        }
        return true
    }

    private var holder: String {
        let text = (try? String(contentsOfFile: path, encoding: .utf8))?.trimmingCharacters(in: .whitespacesAndNewlines) ?? ""
        return text.isEmpty ? "its first process is not known" : "its first process is or was \(text)"
    }

    private func busy(_ folder: RunFolder) -> CommandFailure {
        CommandFailure(
            .internal,
            "\(folder.path): another training writes into this folder (\(holder)); wait for its end or stop it, or "
                + "name another folder")
    }
}
