/// Blocks that nobody uses, by capacity: which of them serves a request, and which is given back first.
struct FreeBlocks {
    struct Block: Equatable {
        let address: UInt
        /// Floats, a size class.
        let capacity: Int
    }

    private struct Entry {
        let address: UInt
        /// When it became free, counted in blocks added.
        let since: Int
    }

    /// Longest free first.
    private var entries: [Int: [Entry]] = [:]
    private var added = 0

    mutating func add(_ address: UInt, capacity: Int) {
        added += 1
        entries[capacity, default: []].append(Entry(address: address, since: added))
    }

    /// The smallest block of `needed` to twice as many floats; of equal ones that which was freed last, which the cache may
    /// still hold.
    mutating func take(_ needed: Int) -> Block? {
        var capacity = needed
        while capacity <= 2 * needed {
            if let entry = entries[capacity]?.popLast() { return Block(address: entry.address, capacity: capacity) }
            capacity = TensorAllocator.sizeClass(capacity + 1)
        }
        return nil
    }

    mutating func takeLongestFree() -> Block? {
        let longest = entries.compactMap { capacity, entries in entries.first.map { (capacity: capacity, since: $0.since) } }
            .min { $0.since < $1.since }
        guard let capacity = longest?.capacity, let entry = entries[capacity]?.removeFirst() else { return nil }
        return Block(address: entry.address, capacity: capacity)
    }
}
