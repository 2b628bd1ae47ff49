import MixtureOfExperts

/// What a token meets in one block if every expert that a gate sees is as likely to be its first choice as any other, and no
/// choice is dropped.
struct UniformRouting: Equatable {
    /// The share of the tokens that enter each stratum.
    let arrivals: [Double]
    /// Strata that a token passes: the sum of the shares.
    let rounds: Double
    /// Experts that see a token in evaluation: its choices, over all strata it passes.
    let expertsPerToken: Double
    /// Rows that go to experts for a token in training: its choices, or where experts choose, what fills them.
    let rowsPerToken: Double

    /// `measuredRounds` takes the place of the expected rounds. All tokens enter the first stratum, whatever was measured: of
    /// every later stratum's arrivals there are in proportion more or less.
    init(_ configuration: MixtureConfiguration, measuredRounds: Double? = nil) {
        let strata = configuration.strata
        var arrivals = [Double](repeating: 0, count: strata.count + 1)
        arrivals[0] = 1
        for stratum in strata.indices {
            let visible = configuration.visibleExperts(atStratum: stratum).count
            let chosen = configuration.strataOrder == .stacked ? stratum...stratum : stratum...strata.count - 1
            for next in chosen { arrivals[next + 1] += arrivals[stratum] * Double(strata[next]) / Double(visible) }
        }
        let expected = arrivals.dropLast().reduce(0, +)
        let beyond = expected > 1 ? ((measuredRounds ?? expected) - 1) / (expected - 1) : 0
        let shares = [1] + arrivals[1..<strata.count].map { $0 * beyond }
        self.arrivals = shares
        rounds = shares.reduce(0, +)
        // By the experts that a gate sees: the rows of a token there, summed over the strata it passes.
        func rows(_ each: (Int) -> Double) -> Double {
            strata.indices.reduce(0) { $0 + shares[$1] * each(configuration.visibleExperts(atStratum: $1).count) }
        }
        let rule = configuration.rule
        expertsPerToken = rows { rule.expectedChoices(configuration, visible: $0, isTraining: false) }
        rowsPerToken = rows { rule.expectedChoices(configuration, visible: $0, isTraining: true) }
    }
}
