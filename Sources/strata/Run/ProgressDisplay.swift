import Foundation

/// Progress on standard error: one line that is rewritten on a terminal, and a line now and then elsewhere.
final class ProgressDisplay {
    private let isTerminal = isatty(STDERR_FILENO) == 1
    private let interval: Double
    private var lastShown: ContinuousClock.Instant?
    private var hasLine = false

    /// `interval`: seconds between lines where there is no terminal.
    init(interval: Double = 10) { self.interval = interval }

    /// Shows a state that the next one replaces.
    func show(_ text: @autoclosure () -> String, force: Bool = false) {
        let now = ContinuousClock.now
        if let lastShown, !force, (now - lastShown) / .seconds(1) < (isTerminal ? 0.2 : interval) { return }
        lastShown = now
        write(isTerminal ? "\r\u{1B}[K\(text())" : "\(text())\n")
        hasLine = isTerminal
    }

    /// Prints a line that stays.
    func note(_ text: String) {
        write(hasLine ? "\r\u{1B}[K\(text)\n" : "\(text)\n")
        hasLine = false
    }

    private func write(_ text: String) { FileHandle.standardError.write(Data(text.utf8)) }
}

/// Numbers as people read them.
enum Format {
    static func duration(_ seconds: Double) -> String {
        guard seconds.isFinite, seconds >= 0, seconds < 1e9 else { return "?" }
        let whole = Int(seconds.rounded())
        if whole >= 3600 { return "\(whole / 3600)h\(padded(whole % 3600 / 60))m" }
        if whole >= 60 { return "\(whole / 60)m\(padded(whole % 60))s" }
        return "\(whole)s"
    }

    /// With thousands separated.
    static func count(_ value: Int) -> String {
        var digits = String(abs(value)), groups: [String] = []
        while digits.count > 3 {
            groups.insert(String(digits.suffix(3)), at: 0)
            digits.removeLast(3)
        }
        return (value < 0 ? "-" : "") + ([digits] + groups).joined(separator: ",")
    }

    static func decimal(_ value: Double, _ places: Int) -> String { String(format: "%.\(places)f", value) }

    private static func padded(_ value: Int) -> String { value < 10 ? "0\(value)" : "\(value)" }
}
