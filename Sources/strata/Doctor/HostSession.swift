import Foundation

/// A process that answers in lines, here or at the other end of ssh. Nothing of it blocks but `wait`, which has a deadline.
final class HostSession {
    /// The lines of the answer so far, without the mark that they begin with.
    private(set) var lines: [(text: String, received: Date)] = []
    /// The exit status, 128 + the signal's number if a signal ended it; nil: runs.
    private(set) var status: Int32?
    /// What it said on standard error.
    var said: String { String(decoding: errors, as: UTF8.self) }

    private var process: pid_t = 0
    private var input: Int32 = -1, output: Int32 = -1, errorOutput: Int32 = -1
    private var unsent = Data(), received = Data(), errors = Data()

    /// Starts a program that is found as the shell does it. One that cannot be started has ended with 127, as in a shell.
    init(_ command: [String]) {
        var input: [Int32] = [-1, -1], output: [Int32] = [-1, -1], errorOutput: [Int32] = [-1, -1]
        // Sockets, since writing into one whose reader has gone need not raise a signal.
        func open(_ ends: inout [Int32]) -> Bool {
            socketpair(AF_UNIX, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0, &ends) == 0
        }
        let isOpen = open(&input) && open(&output) && open(&errorOutput)
        var code = isOpen ? 0 : errno
        if isOpen {
            var actions = posix_spawn_file_actions_t()
            posix_spawn_file_actions_init(&actions)
            defer { posix_spawn_file_actions_destroy(&actions) }
            posix_spawn_file_actions_adddup2(&actions, input[1], 0)
            posix_spawn_file_actions_adddup2(&actions, output[1], 1)
            posix_spawn_file_actions_adddup2(&actions, errorOutput[1], 2)
            let arguments = command.map { strdup($0) } + [nil]
            defer { arguments.forEach { free($0) } }
            code = posix_spawnp(&process, command[0], &actions, nil, arguments, environ)
        }
        for descriptor in [input[1], output[1], errorOutput[1]] where descriptor >= 0 { close(descriptor) }
        (self.input, self.output, self.errorOutput) = (input[0], output[0], errorOutput[0])
        for descriptor in [self.output, self.errorOutput] where descriptor >= 0 { _ = fcntl(descriptor, F_SETFL, O_NONBLOCK) }
        if code != 0 {
            status = 127
            errors = Data("\(command[0]): \(String(cString: strerror(code)))\n".utf8)
        }
    }

    deinit { end() }

    func send(_ line: Data) {
        unsent += line
        flush()
    }

    /// Ends it, if it has not ended yet.
    func end() {
        if status == nil {
            kill(process, SIGKILL)
            // One that a file system holds does not end yet.
            waitpid(process, nil, WNOHANG)
            status = 128 + SIGKILL
        }
        for descriptor in [input, output, errorOutput] where descriptor >= 0 { close(descriptor) }
        (input, output, errorOutput) = (-1, -1, -1)
    }

    /// Takes what sessions answer until each has ended or has so many lines, or until the deadline.
    static func wait(for sessions: [HostSession], lines: Int, until deadline: Date) {
        while true {
            let open = sessions.filter { $0.status == nil && $0.lines.count < lines }
            let left = deadline.timeIntervalSinceNow
            guard !open.isEmpty, left > 0 else { return }
            var events = open.flatMap { session in
                [session.output, session.errorOutput].map { pollfd(fd: $0, events: Int16(POLLIN), revents: 0) }
                    + [pollfd(fd: session.unsent.isEmpty ? -1 : session.input, events: Int16(POLLOUT), revents: 0)]
            }
            // An end is not an event.
            _ = poll(&events, nfds_t(events.count), Int32(min(left, 0.02) * 1000) + 1)
            for session in open { session.advance() }
        }
    }

    private func advance() {
        // Before the streams are read: what it says before its end is not missed.
        var code: Int32 = 0
        let hasEnded = waitpid(process, &code, WNOHANG) == process
        flush()
        Self.drain(&errorOutput, into: &errors)
        Self.drain(&output, into: &received)
        while let end = received.firstIndex(of: UInt8(ascii: "\n")) {
            let line = String(decoding: received[..<end], as: UTF8.self)
            received = Data(received[received.index(after: end)...])
            if line.hasPrefix(HostProbe.mark) { lines.append((String(line.dropFirst(HostProbe.mark.count)), Date())) }
        }
        if hasEnded { status = code & 0x7f == 0 ? (code >> 8) & 0xff : 128 + code & 0x7f }
    }

    private func flush() {
        guard !unsent.isEmpty, input >= 0 else { return }
        let count = unsent.withUnsafeBytes {
            Foundation.send(input, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL) | Int32(MSG_DONTWAIT))
        }
        if count > 0 { unsent = Data(unsent.dropFirst(count)) }
    }

    /// Reads what is there; closes a stream that has ended.
    private static func drain(_ descriptor: inout Int32, into data: inout Data) {
        var piece = [UInt8](repeating: 0, count: 1 << 14)
        while descriptor >= 0 {
            let count = read(descriptor, &piece, piece.count)
            if count > 0 {
                data += piece[..<count]
            } else if count == 0 {
                close(descriptor)
                descriptor = -1
            } else {
                return
            }
        }
    }
}
