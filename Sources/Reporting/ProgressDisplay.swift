import Foundation

/// Progress on standard error: one line that is rewritten on a terminal, and a line now and then elsewhere.
public final class ProgressDisplay {
    private let isTerminal = isatty(STDERR_FILENO) == 1
    private let interval: Double
    private var lastShown: ContinuousClock.Instant?
    private var hasLine = false

    /// `interval`: seconds between lines where there is no terminal.
    public init(interval: Double = 10) { self.interval = interval }

    /// Shows a state that the next one replaces.
    public func show(_ text: @autoclosure () -> String, force: Bool = false) {
        let now = ContinuousClock.now
        if let lastShown, !force, (now - lastShown) / .seconds(1) < (isTerminal ? 0.2 : interval) { return }
        lastShown = now
        write(isTerminal ? "\r\u{1B}[K\(text())" : "\(text())\n")
        hasLine = isTerminal
    }

    /// Prints a line that stays.
    public func note(_ text: String) {
        write(hasLine ? "\r\u{1B}[K\(text)\n" : "\(text)\n")
        hasLine = false
    }

    private func write(_ text: String) { FileHandle.standardError.write(Data(text.utf8)) }
}
