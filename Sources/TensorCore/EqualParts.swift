/// 0 ..< `total` cut into the fewest parts of at most a given size, which differ by one at most. Nothing is one empty part.
struct EqualParts {
    let total: Int
    let count: Int

    init(_ total: Int, atMost size: Int) {
        self.total = total
        count = max(1, (total + size - 1) / size)
    }

    subscript(part: Int) -> Range<Int> { part * total / count..<(part + 1) * total / count }
}
