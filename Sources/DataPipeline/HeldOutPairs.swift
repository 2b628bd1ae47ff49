import Files

/// The pairs of valid and test, to find those that the training text has too: scores on them say little.
struct HeldOutPairs {
    private struct Pair {
        let whole: UInt64
        let source: UInt64
        let target: UInt64
    }

    /// The pairs of each part, by its number.
    private var pairs: [Int: [Pair]] = [:]
    /// Hashes of pairs and of sides, and whether the training text has it.
    private var isFound: [UInt64: Bool] = [:]

    mutating func add(_ text: (source: String, target: String), _ pair: Direction, part: Int) {
        let hashes = Self.hashes(text, pair)
        pairs[part, default: []].append(hashes)
        for hash in [hashes.whole, hashes.source, hashes.target] { isFound[hash] = false }
    }

    /// Takes note of a training pair.
    mutating func compare(_ text: (source: String, target: String), _ pair: Direction) {
        if isFound.isEmpty { return }
        let hashes = Self.hashes(text, pair)
        for hash in [hashes.whole, hashes.source, hashes.target] where isFound[hash] == false { isFound[hash] = true }
    }

    /// Whether valid or test has a pair.
    func holds(_ text: (source: String, target: String), _ pair: Direction) -> Bool {
        !isFound.isEmpty && isFound[Self.hash(text, pair)] != nil
    }

    /// How many pairs of a part the training text has whole, and of how many others it has a side in the same language.
    func copies(ofPart part: Int) -> (pairs: Int, sides: Int) {
        var counts = (pairs: 0, sides: 0)
        for pair in pairs[part] ?? [] {
            if isFound[pair.whole] == true {
                counts.pairs += 1
            } else if isFound[pair.source] == true || isFound[pair.target] == true {
                counts.sides += 1
            }
        }
        return counts
    }

    /// The same for either order of the languages.
    static func hash(_ text: (source: String, target: String), _ pair: Direction) -> UInt64 { hashes(text, pair).whole }

    private static func hashes(_ text: (source: String, target: String), _ pair: Direction) -> Pair {
        let source = hash(text.source, pair.source), target = hash(text.target, pair.target)
        return Pair(whole: combinedKey(min(source, target), max(source, target)), source: source, target: target)
    }

    private static func hash(_ text: String, _ language: String) -> UInt64 {
        let seed = language.utf8.reduce(UInt64(0)) { combinedKey($0, UInt64($1)) }
        var text = text
        return text.withUTF8 { Checksum.value(of: UnsafeRawBufferPointer($0), seed: seed) }
    }
}
