/// Times of repeated work, in seconds.
public enum Stopwatch {
    public static func seconds(_ body: () throws -> Void) rethrows -> Double {
        let start = ContinuousClock.now
        try body()
        return (ContinuousClock.now - start) / .seconds(1)
    }

    /// The median of `repetitions` runs after one that is not counted.
    public static func median(repetitions: Int, _ body: () throws -> Void) rethrows -> Double {
        try body()
        return median(try (0..<repetitions).map { _ in try seconds(body) })
    }

    public static func median(_ values: [Double]) -> Double {
        let sorted = values.sorted()
        guard !sorted.isEmpty else { return .nan }
        let middle = sorted.count / 2
        return sorted.count % 2 == 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2
    }
}
