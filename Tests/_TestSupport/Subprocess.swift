import Foundation

/// Another program, run to its end or to a time limit.
public enum Subprocess {
    public struct Outcome: Sendable, CustomStringConvertible {
        /// The exit status; 128 + the signal's number if a signal ended it.
        public let status: Int32
        public let stdout: String
        public let stderr: String
        /// Whether it had to be killed.
        public let timedOut: Bool

        public var description: String {
            "status \(status)\(timedOut ? ", killed at its time limit" : "")\n--- stdout\n\(stdout)\n--- stderr\n\(stderr)"
        }
    }

    public struct LaunchFailure: Error, CustomStringConvertible {
        public let description: String
    }

    /// Runs `executable`, a path or a name to be found in PATH. After `timeout` seconds it is asked to end, and five
    /// seconds later killed with all its descendants.
    /// - Parameter environment: Variables set in addition to this process's own.
    /// - Throws: `LaunchFailure` if it cannot be started.
    public static func run(
        _ executable: String, _ arguments: [String] = [], environment: [String: String] = [:], input: String = "",
        timeout: Double
    ) throws -> Outcome {
        let folder = FileManager.default.temporaryDirectory.appendingPathComponent("subprocess-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(at: folder) }
        // Files rather than pipes: whatever the program or its children write or leave open, nobody blocks.
        let files = ["stdin", "stdout", "stderr"].map { folder.appendingPathComponent($0) }
        try Data(input.utf8).write(to: files[0])

        let variables = ProcessInfo.processInfo.environment.merging(environment) { $1 }
        let pid = try spawn(executable, arguments, variables.map { "\($0)=\($1)" }, files.map(\.path))
        var status: Int32 = 0
        let ended = wait(pid, &status, until: Date() + timeout)
        if !ended { kill(pid, &status) }
        func text(_ file: URL) -> String { (try? Data(contentsOf: file)).map { String(decoding: $0, as: UTF8.self) } ?? "" }
        let signal = status & 0x7f
        return Outcome(
            status: signal == 0 ? (status >> 8) & 0xff : 128 + signal, stdout: text(files[1]), stderr: text(files[2]),
            timedOut: !ended)
    }

    /// Whether the process has ended, or does so within that many seconds.
    public static func ends(_ pid: Int32, within seconds: Double) -> Bool {
        let deadline = Date() + seconds
        // One that has ended, but was not collected by its parent, has no arguments.
        while let arguments = FileManager.default.contents(atPath: "/proc/\(pid)/cmdline"), !arguments.isEmpty {
            if Date() > deadline { return false }
            usleep(5000)
        }
        return true
    }

    /// Starts the program as the leader of a process group of its own.
    private static func spawn(
        _ executable: String, _ arguments: [String], _ variables: [String], _ files: [String]
    ) throws -> pid_t {
        var attributes = posix_spawnattr_t()
        posix_spawnattr_init(&attributes)
        defer { posix_spawnattr_destroy(&attributes) }
        // Threads of a concurrency runtime block signals, and a program would inherit that: SIGTERM could not end it.
        var none = sigset_t()
        sigemptyset(&none)
        posix_spawnattr_setflags(&attributes, Int16(POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGMASK))
        posix_spawnattr_setpgroup(&attributes, 0)
        posix_spawnattr_setsigmask(&attributes, &none)
        var actions = posix_spawn_file_actions_t()
        posix_spawn_file_actions_init(&actions)
        defer { posix_spawn_file_actions_destroy(&actions) }
        posix_spawn_file_actions_addopen(&actions, 0, files[0], O_RDONLY, 0)
        for descriptor in [1, 2] as [Int32] {
            posix_spawn_file_actions_addopen(
                &actions, descriptor, files[Int(descriptor)], O_WRONLY | O_CREAT | O_APPEND, 0o600)
        }
        let argv = ([executable] + arguments).map { strdup($0) } + [nil]
        let envp = variables.map { strdup($0) } + [nil]
        defer { (argv + envp).forEach { free($0) } }
        var pid: pid_t = 0
        let code = posix_spawnp(&pid, executable, &actions, &attributes, argv, envp)
        guard code == 0 else {
            throw LaunchFailure(description: "\(executable) could not be started: \(String(cString: strerror(code)))")
        }
        return pid
    }

    /// True if the process has ended by then.
    private static func wait(_ pid: pid_t, _ status: inout Int32, until deadline: Date) -> Bool {
        while waitpid(pid, &status, WNOHANG) == 0 {
            if Date() > deadline { return false }
            usleep(5000)
        }
        return true
    }

    private static func kill(_ pid: pid_t, _ status: inout Int32) {
        // mpirun, asked, ends its ranks, which are in process groups of their own.
        Foundation.kill(-pid, SIGTERM)
        let ended = wait(pid, &status, until: Date() + 5)
        let others = ended ? [] : descendants(of: pid)
        Foundation.kill(-pid, SIGKILL)
        if ended { return }
        for process in others { Foundation.kill(process, SIGKILL) }
        waitpid(pid, &status, 0)
    }

    private static func descendants(of root: pid_t) -> [pid_t] {
        let processes = ((try? FileManager.default.contentsOfDirectory(atPath: "/proc")) ?? []).compactMap { pid_t($0) }
        var children: [pid_t: [pid_t]] = [:]
        for process in processes {
            // The second field is the name in parentheses, which may hold anything; the parent is the second after it.
            guard let data = FileManager.default.contents(atPath: "/proc/\(process)/stat"),
                let rest = String(decoding: data, as: UTF8.self).split(separator: ")").last?.split(separator: " "),
                rest.count > 1, let parent = pid_t(rest[1])
            else { continue }
            children[parent, default: []].append(process)
        }
        var found: [pid_t] = []
        var open = [root]
        while let process = open.popLast() {
            found += children[process] ?? []
            open += children[process] ?? []
        }
        return found
    }
}
