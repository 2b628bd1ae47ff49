extension ExpertPlacement {
    /// The share of the bytes of rows that cross between hosts which is saved where rows are passed on within them: over the gates of
    /// all strata, of a token of the first place that chooses among equally busy experts. Rules that do not read `topK` are taken to
    /// choose two.
    public func savedByRelay(_ hosts: PlaceHosts, _ configuration: MixtureConfiguration, wire: WireFormat) -> Double {
        var whole = 0.0, left = 0.0
        for stratum in strata.indices {
            let visible = configuration.visibleExperts(atStratum: stratum)
            let counts = (0..<places).map { experts(of: $0, seenFrom: 0).count(where: visible.contains) }
            let all = counts.reduce(0, +), most = configuration.rule.readsTopK ? configuration.topK : 2
            let elsewhere = hosts.places.filter { !$0.contains(0) }
            let byPlace = elsewhere.flatMap { $0.map { counts[$0] } }
            whole += Self.rows(toEachOf: byPlace, of: all, choices: min(most, all), wire)
            let byHost = elsewhere.map { $0.reduce(0) { $0 + counts[$1] } }
            left += Self.rows(toEachOf: byHost, of: all, choices: min(most, all), wire)
        }
        return whole > 0 ? 1 - left / whole : 0
    }

    /// Rows of a token on their four ways to and from units (places or hosts) that have so many experts each, where what goes to a unit
    /// goes there once: outputs come back one by one, and of gradients the first two as one.
    private static func rows(toEachOf units: [Int], of all: Int, choices: Int, _ wire: WireFormat) -> Double {
        /// Whether one of so many choices is among a unit's experts, on average.
        func wanted(_ unit: Int, _ choices: Int) -> Double {
            var none = 1.0
            for earlier in 0..<choices { none *= Double(max(0, all - unit - earlier)) / Double(all - earlier) }
            return 1 - none
        }
        return units.reduce(0.0) { sum, unit in
            let once = wanted(unit, choices), each = Double(choices * unit) / Double(all)
            guard wire == .float32 else { return sum + once + 3 * each }
            let firstTwo = min(choices, 2)
            let added = Double(firstTwo * unit) / Double(all) - wanted(unit, firstTwo)
            return sum + 2 * once + 2 * each - added
        }
    }
}
