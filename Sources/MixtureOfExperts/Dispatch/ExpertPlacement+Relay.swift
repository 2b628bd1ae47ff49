extension ExpertPlacement {
    /// The share of the rows that cross between hosts which is saved where rows are passed on within them: over the gates of all
    /// strata, of a token of the first place that chooses among equally busy experts. Rules that do not read `topK` are taken to choose
    /// two.
    public func savedByRelay(_ hosts: PlaceHosts, _ configuration: MixtureConfiguration, wire: WireFormat) -> Double {
        let elsewhere = hosts.places.filter { !$0.contains(0) }
        var whole = 0.0, left = 0.0
        for stratum in strata.indices {
            let visible = configuration.visibleExperts(atStratum: stratum)
            let counts = (0..<places).map { experts(of: $0, seenFrom: 0).count(where: visible.contains) }
            let all = counts.reduce(0, +)
            let choices = Double(min(configuration.rule.readsTopK ? configuration.topK : 2, all))
            func crossing(_ experts: Int) -> Double {
                let rows = [Double](repeating: choices / Double(all), count: experts)
                return wire.sharedRows(rows, ofTokens: 1, choices: choices)
            }
            for places in elsewhere {
                whole += places.reduce(0) { $0 + crossing(counts[$1]) }
                left += crossing(places.reduce(0) { $0 + counts[$1] })
            }
        }
        return whole > 0 ? 1 - left / whole : 0
    }
}
