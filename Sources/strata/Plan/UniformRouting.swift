import MixtureOfExperts

/// What a token meets in one block if every expert that a gate sees is as likely to be its first choice as any other, and no
/// choice is dropped.
struct UniformRouting: Equatable {
    /// The share of the tokens that enter each stratum.
    let arrivals: [Double]
    /// Strata that a token passes: the sum of the shares.
    let rounds: Double
    /// Experts that see a token: its choices, over all strata it passes.
    let expertsPerToken: Double

    /// `measuredRounds` takes the place of the expected rounds: of every stratum's choices there are in proportion more or less.
    init(_ configuration: MixtureConfiguration, measuredRounds: Double? = nil) {
        let strata = configuration.strata
        var arrivals = [Double](repeating: 0, count: strata.count + 1)
        arrivals[0] = 1
        for stratum in strata.indices {
            let visible = configuration.visibleExperts(atStratum: stratum).count
            let chosen = configuration.stacked ? stratum...stratum : stratum...strata.count - 1
            for next in chosen { arrivals[next + 1] += arrivals[stratum] * Double(strata[next]) / Double(visible) }
        }
        let expected = arrivals.dropLast().reduce(0, +)
        let scale = (measuredRounds ?? expected) / expected
        self.arrivals = arrivals.dropLast().map { $0 * scale }
        rounds = expected * scale
        expertsPerToken = strata.indices.reduce(0) { sum, stratum in
            let choices = min(configuration.topK, configuration.visibleExperts(atStratum: stratum).count)
            return sum + arrivals[stratum] * scale * Double(choices)
        }
    }
}
