/// Which checkpoints stay: the newest, and the best by validation loss.
public struct CheckpointRetention: Sendable {
    /// The newest that stay.
    public let newest: Int
    /// The best that stay, whatever their age.
    public let best: Int

    public init(newest: Int, best: Int) {
        precondition(newest >= 1 && best >= 0)
        self.newest = newest
        self.best = best
    }

    /// The steps that need not stay. `losses` has every checkpoint's validation loss, nil where there was no validation; of equal
    /// ones the later is better: it has seen more.
    public func expendable(_ losses: [Int: Double?]) -> [Int] {
        let steps = losses.keys.sorted()
        let kept = Set(steps.suffix(newest) + Self.bestFirst(losses).prefix(best))
        return steps.filter { !kept.contains($0) }
    }

    /// The steps that have a validation loss, the lowest first.
    public static func bestFirst(_ losses: [Int: Double?]) -> [Int] {
        let measured = losses.compactMap { step, loss in loss.map { (step, $0) } }
        return measured.sorted { ($0.1, -$0.0) < ($1.1, -$1.0) }.map(\.0)
    }
}
