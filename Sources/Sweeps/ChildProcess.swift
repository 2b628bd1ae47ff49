import Foundation
import Runs

/// A command that runs beside this process, as the leader of a process group of its own: the terminal's Ctrl-C does not reach
/// it.
public final class ChildProcess {
    private let pid: pid_t
    private let log: String
    /// Bytes of the log that were there before.
    private let logStart: UInt64
    /// 128 + the signal's number if a signal ended it; nil while it runs.
    private(set) var status: Int32?

    /// Starts `arguments[0]`, a path or a name in PATH. Standard output becomes the content of the file `output`; standard error
    /// is appended to `log`.
    ///
    /// - Throws: `RunError` if it cannot be started.
    init(_ arguments: [String], output: String, log: String, environment: [String: String] = [:]) throws {
        self.log = log
        let before = FileHandle(forReadingAtPath: log)
        logStart = (try? before?.seekToEnd()) ?? 0
        try? before?.close()
        var attributes = posix_spawnattr_t()
        posix_spawnattr_init(&attributes)
        defer { posix_spawnattr_destroy(&attributes) }
        posix_spawnattr_setflags(&attributes, Int16(POSIX_SPAWN_SETPGROUP))
        posix_spawnattr_setpgroup(&attributes, 0)
        var actions = posix_spawn_file_actions_t()
        posix_spawn_file_actions_init(&actions)
        defer { posix_spawn_file_actions_destroy(&actions) }
        posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0)
        posix_spawn_file_actions_addopen(&actions, 1, output, O_WRONLY | O_CREAT | O_TRUNC, 0o644)
        posix_spawn_file_actions_addopen(&actions, 2, log, O_WRONLY | O_CREAT | O_APPEND, 0o644)
        let variables = ProcessInfo.processInfo.environment.merging(environment) { $1 }
        let argv = arguments.map { strdup($0) } + [nil], envp = variables.map { strdup("\($0)=\($1)") } + [nil]
        defer { (argv + envp).forEach { free($0) } }
        var pid: pid_t = 0
        let code = posix_spawnp(&pid, arguments[0], &actions, &attributes, argv, envp)
        guard code == 0 else {
            throw RunError(
                .program, "\(arguments[0]): must be a program that can be started, but: \(String(cString: strerror(code)))")
        }
        self.pid = pid
    }

    /// Whether it has ended; never blocks.
    func hasEnded() -> Bool {
        guard status == nil else { return true }
        var code: Int32 = 0
        guard waitpid(pid, &code, WNOHANG) == pid else { return false }
        let signal = code & 0x7f
        status = signal == 0 ? (code >> 8) & 0xff : 128 + signal
        return true
    }

    /// Asks a training to stop at a checkpoint; ends any other command.
    func stop() {
        if !hasEnded() { kill(pid, SIGUSR1) }
    }

    /// The errors at the end of what it has logged, or the last line.
    var lastWords: String {
        let file = FileHandle(forReadingAtPath: log)
        try? file?.seek(toOffset: logStart)
        let text = String(decoding: (try? file?.readToEnd()) ?? Data(), as: UTF8.self)
        let lines = text.split(separator: "\n"),
            errors = lines.filter { $0.hasPrefix("strata: error:") || $0.hasPrefix("rank ") }
        return (errors.isEmpty ? lines.suffix(1) : errors.suffix(5)).joined(separator: "\n")
    }

    public func wait() -> Int32 {
        while !hasEnded() { usleep(5000) }
        return status ?? 0
    }
}
