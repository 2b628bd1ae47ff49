extension WireFormat {
    /// Rows on their four ways between `tokens` tokens and experts that are together, at a place or on a host, where what goes to them
    /// goes once (`SharedRows`): outputs come back one by one, and of gradients that are not rounded the first two as one. Expected,
    /// where each of the experts has `rows` of the tokens' `choices`.
    public func sharedRows(_ rows: [Double], ofTokens tokens: Double, choices: Double) -> Double {
        let each = rows.map { $0 / tokens }, chosen = choices / tokens, count = rows.reduce(0, +)
        let wanted = tokens * Self.share(each, choices: chosen)
        guard self == .float32 else { return wanted + 3 * count }
        // Of more than two choices those of the first two are as likely as the others.
        let firstTwo = each.map { $0 * min(1, 2 / chosen) }
        let added = tokens * (firstTwo.reduce(0, +) - Self.share(firstTwo, choices: min(2, chosen)))
        return 2 * wanted + 2 * count - added
    }

    /// The share of tokens that have one of the experts among so many choices, each of them `each`'s: expert after expert, those that
    /// have none before it choose among the others alone. Of equally busy experts this is exact.
    private static func share(_ each: [Double], choices: Double) -> Double {
        var without = 1.0, passed = 0.0
        for part in each where part > 0 {
            let left = choices - passed
            without *= left > 0 ? max(0, 1 - part * choices / left) : 0
            passed += part
        }
        return 1 - without
    }
}
