/// A multiset of n-grams, each packed into 128 bits: open addressing, emptied in constant time, no allocation once warm.
struct NGramCounter {
    struct NGram: Equatable {
        var high: UInt64
        var low: UInt64
    }

    private struct Slot {
        var key: NGram
        var count: Int32
        /// The slot is in use if this is the counter's round.
        var round: UInt32
    }

    private var slots = [Slot](repeating: Slot(key: NGram(high: 0, low: 0), count: 0, round: 0), count: 1024)
    private var round: UInt32 = 1
    private var used = 0

    /// Empties it.
    mutating func removeAll() {
        used = 0
        round &+= 1
        guard round == 0 else { return }
        // The rounds have wrapped around: slots of a past round must not look current.
        for i in slots.indices { slots[i].round = 0 }
        round = 1
    }

    mutating func insert(_ key: NGram) {
        if 2 * (used + 1) > slots.count { grow() }
        let index = index(of: key)
        if slots[index].round == round {
            slots[index].count += 1
        } else {
            slots[index] = Slot(key: key, count: 1, round: round)
            used += 1
        }
    }

    /// Takes one occurrence out; false if there is none left.
    mutating func remove(_ key: NGram) -> Bool {
        let index = index(of: key)
        guard slots[index].round == round, slots[index].count > 0 else { return false }
        slots[index].count -= 1
        return true
    }

    /// The slot of a key, or the free one where it belongs.
    private func index(of key: NGram) -> Int {
        let mask = slots.count - 1
        var hash = (key.low ^ 0x9E37_79B9_7F4A_7C15) &* 0xBF58_476D_1CE4_E5B9
        hash = (hash ^ (hash >> 29) ^ key.high) &* 0x94D0_49BB_1331_11EB
        var index = Int(truncatingIfNeeded: hash >> 32) & mask
        while slots[index].round == round && slots[index].key != key { index = (index + 1) & mask }
        return index
    }

    private mutating func grow() {
        let current = slots.filter { $0.round == round }
        slots = [Slot](repeating: Slot(key: NGram(high: 0, low: 0), count: 0, round: 0), count: 2 * slots.count)
        for slot in current { slots[index(of: slot.key)] = slot }
    }
}
