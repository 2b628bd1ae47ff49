/// The places of an arena that nobody uses: ranges in ascending order, no two of which touch.
struct FreeRanges {
    private var ranges: [Range<Int>] = []

    /// The first `count` places of the lowest range that has as many; returns where they begin. Tensors that come and go like a
    /// stack, as a step's do, so stay close to each other.
    mutating func take(_ count: Int) -> Int? {
        guard let index = ranges.firstIndex(where: { $0.count >= count }) else { return nil }
        let range = ranges[index]
        if range.count == count {
            ranges.remove(at: index)
        } else {
            ranges[index] = range.lowerBound + count..<range.upperBound
        }
        return range.lowerBound
    }

    /// The range that ends at `end`, if one does; returns where it begins.
    mutating func takeLast(endingAt end: Int) -> Int? {
        guard ranges.last?.upperBound == end else { return nil }
        return ranges.removeLast().lowerBound
    }

    mutating func add(_ range: Range<Int>) {
        let next = firstIndex(from: range.upperBound)
        let joinsBefore = next > 0 && ranges[next - 1].upperBound == range.lowerBound
        let joinsAfter = next < ranges.count && ranges[next].lowerBound == range.upperBound
        switch (joinsBefore, joinsAfter) {
        case (false, false): ranges.insert(range, at: next)
        case (true, false): ranges[next - 1] = ranges[next - 1].lowerBound..<range.upperBound
        case (false, true): ranges[next] = range.lowerBound..<ranges[next].upperBound
        case (true, true):
            ranges[next - 1] = ranges[next - 1].lowerBound..<ranges[next].upperBound
            ranges.remove(at: next)
        }
    }

    /// The index of the first range that begins at a place or after it.
    private func firstIndex(from place: Int) -> Int {
        var low = 0, high = ranges.count
        while low < high {
            let middle = (low + high) / 2
            if ranges[middle].lowerBound < place { low = middle + 1 } else { high = middle }
        }
        return low
    }
}
