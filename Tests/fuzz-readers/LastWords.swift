import Foundation

/// Says which iteration was under way when the process crashes, overflows its stack or takes too long.
enum LastWords {
    /// Seconds for one iteration, on a machine with other work to do.
    private static let mostSeconds: UInt32 = 20
    private static let capacity = 256
    nonisolated(unsafe) private static let text = UnsafeMutablePointer<UInt8>.allocate(capacity: capacity)
    nonisolated(unsafe) private static var length = 0

    static func listen() {
        // What overflowed its stack needs another for its last words.
        var stack = stack_t()
        stack.ss_sp = UnsafeMutableRawPointer.allocate(byteCount: 1 << 16, alignment: 16)
        stack.ss_size = 1 << 16
        sigaltstack(&stack, nil)
        for number in [SIGILL, SIGTRAP, SIGSEGV, SIGBUS, SIGABRT, SIGFPE, SIGALRM] {
            var action = sigaction()
            action.__sigaction_handler.sa_handler = { number in
                write(STDERR_FILENO, LastWords.text, LastWords.length)
                _exit(128 + number)
            }
            action.sa_flags = Int32(SA_ONSTACK)
            sigaction(number, &action, nil)
        }
    }

    static func prepare(_ iteration: String) {
        let bytes = Array("crashed, or took more than \(mostSeconds) s: \(iteration)\n".utf8.prefix(capacity))
        text.update(from: bytes, count: bytes.count)
        length = bytes.count
        alarm(mostSeconds)
    }
}
