/// Ranges of updates of equal, round width that a long curve is drawn by.
struct UpdateBins {
    /// What the values in one bin come to.
    struct Summary: Equatable {
        /// The mean of the finite values; nil if there is none.
        var mean: Double?
        var low = 0.0
        var high = 0.0
        var count = 0
        /// Values that are not finite.
        var notFinite = 0
    }

    /// Updates of a bin: 1, 2 or 5 times a power of ten.
    let width: Int
    let updates: ClosedRange<Int>
    private let first: Int
    let count: Int

    /// At most `limit` bins; update 1 begins one.
    init(_ updates: ClosedRange<Int>, atMost limit: Int) {
        self.updates = updates
        func bins(_ width: Int) -> Int { Self.bin(updates.upperBound, width) - Self.bin(updates.lowerBound, width) + 1 }
        var power = 1
        while bins(5 * power) > limit { power *= 10 }
        width = [1, 2].map { $0 * power }.first { bins($0) <= limit } ?? 5 * power
        first = Self.bin(updates.lowerBound, width)
        count = bins(width)
    }

    /// The place of an update's bin, from 0.
    func index(of update: Int) -> Int { Self.bin(update, width) - first }

    /// The updates of a bin that are among those shown.
    func updates(of index: Int) -> ClosedRange<Int> {
        let start = (first + index) * width + 1
        return max(start, updates.lowerBound)...min(start + width - 1, updates.upperBound)
    }

    /// The update at which a bin's mean is drawn.
    func middle(of index: Int) -> Double {
        let range = updates(of: index)
        return (Double(range.lowerBound) + Double(range.upperBound)) / 2
    }

    func label(_ index: Int) -> String {
        let range = updates(of: index)
        return range.count == 1
            ? NumberText.count(range.lowerBound) : "\(NumberText.count(range.lowerBound))–\(NumberText.count(range.upperBound))"
    }

    /// Every bin's values; nil for one without any.
    func summaries(_ values: [(update: Int, value: Double)]) -> [Summary?] {
        var sums = [Double](repeating: 0, count: count)
        var result = [Summary?](repeating: nil, count: count)
        for (update, value) in values where updates.contains(update) {
            let index = index(of: update)
            var summary = result[index] ?? Summary()
            if value.isFinite {
                (summary.low, summary.high) =
                    summary.count == 0 ? (value, value) : (min(summary.low, value), max(summary.high, value))
                summary.count += 1
                sums[index] += value
                summary.mean = sums[index] / Double(summary.count)
            } else {
                summary.notFinite += 1
            }
            result[index] = summary
        }
        return result
    }

    /// Update 0, before training, has a bin of its own.
    private static func bin(_ update: Int, _ width: Int) -> Int { update > 0 ? (update - 1) / width : -1 }
}
