/// What a test of significance says of two translations of one text by one metric.
public struct SignificanceResult: Codable, Equatable, Sendable {
    /// How likely a difference as large is by chance: below 0.05 it is usually called significant.
    public var pValue: Double
    /// The mean score of the first translation over the resamples, and half the width of the interval that 95 % of them are in; nil
    /// of randomisation.
    public var mean: Double?
    public var confidence: Double?

    enum CodingKeys: String, CodingKey {
        case mean, confidence
        case pValue = "p_value"
    }
}

/// Tests whether two translations differ, equal to sacreBLEU's with its seed, 12345, and its numbers of trials.
public enum SignificanceTest: String, CaseIterable, Sendable {
    /// Paired bootstrap resampling (Koehn, 2004).
    case bootstrap = "bs"
    /// Paired approximate randomisation (Riezler and Maxwell, 2005).
    case randomization = "ar"

    private static let seed: UInt32 = 12345
    public var trials: Int { self == .bootstrap ? 1000 : 10_000 }

    /// A metric's signature with the test's settings.
    public func signature(_ metric: some CorpusMetric, version: String) -> String {
        let whole = metric.signature(version: version), settings = "\(rawValue):\(trials)|seed:\(Self.seed)"
        guard let first = whole.firstIndex(of: "|") else { return whole }
        return "\(whole[..<first])|\(settings)\(whole[first...])"
    }

    /// - Parameter statistics: each segment's counts of the metric, of the one translation.
    /// - Parameter baseline: of the other, segment by segment.
    public func compare<Metric: CorpusMetric>(
        _ metric: Metric, _ statistics: [[Double]], with baseline: [[Double]]
    ) -> SignificanceResult {
        precondition(statistics.count == baseline.count && !statistics.isEmpty, "the translations are of one text")
        let difference = abs(metric.score(metric.sum(baseline)) - metric.score(metric.sum(statistics)))
        switch self {
        case .bootstrap: return resample(metric, statistics, baseline, difference)
        case .randomization: return randomize(metric, statistics, baseline, difference)
        }
    }

    /// Paired bootstrap resampling, computed as sacreBLEU does, in 32 bits: sums of counts, scores, and for a metric whose scores
    /// are such numbers, their mean.
    private func resample<Metric: CorpusMetric>(
        _ metric: Metric, _ statistics: [[Double]], _ baseline: [[Double]], _ difference: Double
    ) -> SignificanceResult {
        var random = NumPyRandom(seed: Self.seed)
        let own = statistics.map { $0.map { Float($0) } }, other = baseline.map { $0.map { Float($0) } }
        var scores: [Double] = [], differences: [Double] = []
        for _ in 0..<trials {
            var sums = (own[0].map { _ in Float(0) }, own[0].map { _ in Float(0) })
            for index in random.choice(own.count, below: own.count) {
                for place in sums.0.indices {
                    sums.0[place] += own[index][place]
                    sums.1[place] += other[index][place]
                }
            }
            let score = metric.score(sums.0)
            scores.append(score)
            differences.append(abs(metric.rounded(score - metric.score(sums.1))))
        }
        let mean = metric.mean(differences)
        let larger = differences.count { metric.rounded($0 - mean) > metric.rounded(difference) }
        let sorted = scores.sorted(), edge = sorted.count / 40
        return SignificanceResult(
            pValue: Double(larger + 1) / Double(trials + 1), mean: metric.mean(sorted),
            confidence: metric.rounded(0.5 * metric.rounded(sorted[sorted.count - edge - 1] - sorted[edge])))
    }

    private func randomize<Metric: CorpusMetric>(
        _ metric: Metric, _ statistics: [[Double]], _ baseline: [[Double]], _ difference: Double
    ) -> SignificanceResult {
        var bits = NumPyRandom.Bits(NumPyRandom(seed: Self.seed))
        let total = zip(metric.sum(statistics), metric.sum(baseline)).map { $0 + $1 }
        var larger = 0
        for _ in 0..<trials {
            var sums = total.map { _ in 0.0 }
            for index in statistics.indices {
                let counts = bits.next() ? baseline[index] : statistics[index]
                for place in sums.indices { sums[place] += counts[place] }
            }
            let others = zip(total, sums).map { $0 - $1 }
            if abs(metric.score(sums) - metric.score(others)) > difference { larger += 1 }
        }
        return SignificanceResult(pValue: Double(larger + 1) / Double(trials + 1))
    }
}

extension CorpusMetric {
    /// BLEU ends with logarithms of 64 bits; what other metrics' scores are in 32 bits stays so.
    private var is64: Bool { self is BLEU }

    fileprivate func rounded(_ value: Double) -> Double { is64 ? value : Double(Float(value)) }

    fileprivate func mean(_ values: [Double]) -> Double {
        is64
            ? Self.pairwiseSum(values[...]) / Double(values.count)
            : Double(Self.pairwiseSum(values.map { Float($0) }[...]) / Float(values.count))
    }

    /// NumPy's order of additions: eight sums side by side in blocks of up to 128, and those in pairs.
    private static func pairwiseSum<Number: BinaryFloatingPoint>(_ values: ArraySlice<Number>) -> Number {
        let count = values.count, start = values.startIndex
        if count < 8 { return values.reduce(0, +) }
        if count > 128 {
            let half = count / 2 - count / 2 % 8
            return pairwiseSum(values.prefix(half)) + pairwiseSum(values.dropFirst(half))
        }
        var sums = (0..<8).map { values[start + $0] }, next = 8
        while next + 8 <= count {
            for lane in 0..<8 { sums[lane] += values[start + next + lane] }
            next += 8
        }
        let rest = values.dropFirst(next)
        return rest.reduce(((sums[0] + sums[1]) + (sums[2] + sums[3])) + ((sums[4] + sums[5]) + (sums[6] + sums[7])), +)
    }
}
