import MixtureOfExperts

/// What a token meets in one block if every expert that a gate sees is as likely to be its first choice as any other, and no
/// choice is dropped. Where experts come and go, those that exist at first.
struct UniformRouting: Equatable {
    /// The share of the tokens that enter each stratum.
    let arrivals: [Double]
    /// RC, the strata that a token passes: the sum of the shares.
    let requestedCapacity: Double
    /// By expert, the rows that go to it for a token in evaluation, over all strata that it passes. Of rows in parts, all parts count.
    let evaluatedRows: [Double]
    /// By stratum of the gate, then by expert, the same in training: the rows of its choices, or where experts choose, what fills
    /// them.
    let trainedRowsOfGate: [[Double]]

    /// By expert, those of all gates.
    var trainedRows: [Double] { Self.sums(trainedRowsOfGate) }

    var expertsPerToken: Double { evaluatedRows.reduce(0, +) }
    var rowsPerToken: Double { trainedRows.reduce(0, +) }

    /// `requestedCapacity`, as measured, takes the place of the expected one. All tokens enter the first stratum, whatever was
    /// measured: of every later stratum's arrivals there are in proportion more or less.
    init(_ configuration: MixtureConfiguration, requestedCapacity: Double? = nil) {
        let existing = configuration.pool == nil ? nil : Set(configuration.initialExperts)
        let strata = configuration.pool?.initialExperts ?? configuration.strata
        func visible(_ stratum: Int) -> [Int] {
            configuration.visibleExperts(atStratum: stratum).filter { existing?.contains($0) ?? true }
        }
        var arrivals = [Double](repeating: 0, count: strata.count + 1)
        arrivals[0] = 1
        for stratum in strata.indices {
            let visible = visible(stratum).count
            let chosen = configuration.strataOrder == .stacked ? stratum...stratum : stratum...strata.count - 1
            for next in chosen { arrivals[next + 1] += arrivals[stratum] * Double(strata[next]) / Double(visible) }
        }
        let expected = arrivals.dropLast().reduce(0, +)
        let beyond = expected > 1 ? ((requestedCapacity ?? expected) - 1) / (expected - 1) : 0
        let shares = [1] + arrivals[1..<strata.count].map { $0 * beyond }
        self.arrivals = shares
        self.requestedCapacity = shares.reduce(0, +)
        // A token's choices at a gate are as likely to be the one as the other expert that it sees.
        func rows(_ stratum: Int, isTraining: Bool) -> [Double] {
            let visible = visible(stratum)
            let choices = configuration.rule.expectedChoices(configuration, atStratum: stratum, isTraining: isTraining)
            var rows = [Double](repeating: 0, count: configuration.experts)
            for expert in visible {
                rows[expert] = Double(configuration.rowsPerToken) * shares[stratum] * choices / Double(visible.count)
            }
            return rows
        }
        evaluatedRows = Self.sums(strata.indices.map { rows($0, isTraining: false) })
        trainedRowsOfGate = strata.indices.map { rows($0, isTraining: true) }
    }
    private static func sums(_ rows: [[Double]]) -> [Double] {
        rows.dropFirst().reduce(rows[0]) { zip($0, $1).map { $0 + $1 } }
    }
}
