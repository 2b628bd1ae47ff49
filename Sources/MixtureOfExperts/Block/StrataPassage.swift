/// A method that says what strata read of a token, and which experts they may give it, as it passes one after another.
public protocol PassageMethod: MixtureMethod {
    /// Whether every stratum reads the rows that came into the block, and not what the strata before have made of them.
    var strataReadEntry: Bool { get }
    /// Whether a token takes an expert once in a block at most: later gates do not offer it again, and a token for which a gate has
    /// nothing left leaves the block.
    var expertsAreTakenOnce: Bool { get }
}

extension MixtureConfiguration {
    var strataReadEntry: Bool { methods(for: (any PassageMethod).self).contains { $0.strataReadEntry } }
    var expertsAreTakenOnce: Bool { methods(for: (any PassageMethod).self).contains { $0.expertsAreTakenOnce } }
}

/// The experts that the tokens of a group have taken in a block.
struct TakenExperts {
    private let experts: Int
    /// By token, then by global expert id.
    private var isTaken: [Bool]

    init(tokens: Int, experts: Int) {
        self.experts = experts
        isTaken = [Bool](repeating: false, count: tokens * experts)
    }

    /// Takes in the choices of a gate for `rows`, dropped ones too.
    mutating func add(_ rows: [Int32], _ decision: RoutingDecision) {
        for (choice, expert) in decision.experts.enumerated() {
            isTaken[Int(rows[Int(decision.choiceTokens[choice])]) * experts + Int(expert)] = true
        }
    }

    /// Whether each of `rows` has taken each of the `visible` experts, row after row.
    func among(_ visible: Range<Int>, rows: [Int32]) -> [Bool] {
        rows.flatMap { row in isTaken[Int(row) * experts + visible.lowerBound..<Int(row) * experts + visible.upperBound] }
    }
}
