/// What a folder of text holds and what of it is not used, in words.
struct TextInventory: CustomStringConvertible {
    /// Most names that a message lists.
    private static let most = 8

    let found: [ParallelText.Part]
    let unused: [String]
    let others: [String]

    /// What there is, for the message that says what there must be.
    var description: String {
        var text: String
        if !found.isEmpty {
            text = pairs.map { "\($0.pair) (\($0.splits.map(\.rawValue).joined(separator: ", ")))" }.joined(separator: ", ")
        } else if others.isEmpty {
            text = unused.isEmpty ? "nothing" : "nothing that is used"
        } else {
            text = "other files alone, such as \(Self.list(others, separator: ", "))"
        }
        if !unused.isEmpty { text += "; \(Self.list(unused, separator: "; "))" }
        return text
    }

    /// What to tell a user whose text is used: files that are not, pairs without training text, pairs that lack a split.
    func remarks(training directions: [Direction], areRequested: Bool) -> [String] {
        var remarks =
            unused.count <= Self.most ? unused : unused.prefix(Self.most) + ["\(unused.count - Self.most) more files: not used"]
        if !areRequested {
            for (pair, splits) in pairs where !directions.contains(pair) {
                remarks.append(
                    "\(pair): not trained: there is text of \(splits.map(\.rawValue).joined(separator: " and ")), but none of train"
                )
            }
        }
        for split in [Split.valid, .test] {
            let having = found.filter { $0.split == split }.map(\.pair)
            let lacking = directions.filter { ParallelText.pair(for: $0, among: having) == nil }.map(\.description)
            // Where no pair has it, that is how the text is meant, unless files are passed over.
            guard !lacking.isEmpty, !having.isEmpty || !unused.isEmpty else { continue }
            remarks.append("no \(split.rawValue) text of \(Self.list(lacking, separator: ", "))")
        }
        return remarks
    }

    private var pairs: [(pair: Direction, splits: [Split])] {
        Dictionary(grouping: found, by: \.pair).map { ($0.key, $0.value.map(\.split)) }
            .sorted { $0.0.description < $1.0.description }
    }

    private static func list(_ names: [String], separator: String) -> String {
        (names.prefix(most) + (names.count > most ? ["and \(names.count - most) more"] : [])).joined(separator: separator)
    }
}
