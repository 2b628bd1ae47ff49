import Autograd

/// Experts that come and go.
extension StratifiedBlock {
    private var adaptiveGates: [any AdaptiveGate] {
        strata.map { stratum in
            guard let gate = stratum.gate as? any AdaptiveGate else {
                preconditionFailure("experts come and go at gates that can be told so")
            }
            return gate
        }
    }

    /// Records of no tokens, by stratum.
    public var emptyRecords: [GateRecord] {
        strata.map { GateRecord(experts: $0.gate.weight.rows, width: $0.gate.weight.columns) }
    }

    /// How its experts are to change by what was recorded, by stratum; nil where they stay.
    public func change(after records: [GateRecord]) -> PoolChange? {
        configuration.pool?.change(adaptiveGates.map(\.open), records, configuration)
    }

    /// Has the gates show and hide experts.
    ///
    /// - Returns: The elements of the replicated section that begin anew: there are to be no moments of what they were.
    public func applyToGates(_ change: PoolChange) -> [Range<Int>] {
        let gates = adaptiveGates
        func place(_ expert: Int, _ stratum: Int) -> Int {
            expert - configuration.visibleExperts(atStratum: stratum).lowerBound
        }
        for closing in change.closings { gates[closing.stratum].close(place(closing.expert, closing.stratum)) }
        var elements = change.closings.flatMap {
            gates[$0.stratum].elements(of: place($0.expert, $0.stratum))
        }
        for opening in change.openings {
            let place = place(opening.expert, opening.stratum)
            gates[opening.stratum].open(place, weight: opening.weight)
            elements += gates[opening.stratum].elements(of: place)
        }
        return elements
    }

    /// An expert that a gate's tokens may choose although it does not exist, by global id; nil if there is none, as must be.
    public var absentChoice: Int? {
        for stratum in strata {
            guard let gate = stratum.gate as? any AdaptiveGate else { continue }
            let first = configuration.visibleExperts(atStratum: stratum.index).lowerBound
            for (place, isOpen) in gate.open.enumerated() where isOpen && placement.placeOfExpert[first + place] < 0 {
                return first + place
            }
        }
        return nil
    }

    /// What the names of an expert's parameters begin with.
    public func expertName(_ expert: Int) -> String { "\(name).experts.\(expert)." }

    /// Has an expert of this place begin with outputs of 0.
    public func silence(_ expert: Int) {
        for parameter in experts.experts[placement.localIndex[expert]].outputParameters { parameter.value.fill(0) }
    }
}
