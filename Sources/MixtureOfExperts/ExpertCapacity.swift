/// How many choices an expert takes in one stratum of one token group; the rest is dropped.
public enum ExpertCapacity {
    /// C = factor × ceil(tokens / visible), rounded down; nil (dropless) for no factor.
    public static func limit(tokens: Int, visible: Int, factor: Float?) -> Int? {
        factor.map { Int($0 * Float((tokens + visible - 1) / visible)) }
    }

    /// Which choices are kept: all first choices queue before any second one, each by the tokens in `order`.
    ///
    /// `experts` holds k choices a token, −1 where there is none (never kept).
    static func keep(_ experts: [Int32], choices k: Int, visible: Range<Int>, limit: Int?, order: [Int]) -> [Bool] {
        var kept = experts.map { $0 >= 0 }
        guard let limit else { return kept }
        var taken = [Int](repeating: 0, count: visible.count)
        for choice in 0..<k {
            for token in order where kept[token * k + choice] {
                let index = token * k + choice
                let expert = Int(experts[index]) - visible.lowerBound
                if taken[expert] < limit {
                    taken[expert] += 1
                } else {
                    kept[index] = false
                }
            }
        }
        return kept
    }
}
