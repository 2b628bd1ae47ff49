import ConfigurationForms
import MixtureOfExperts

/// Experts added and removed while training (the adaptive process of "Dynamic Mixture of Experts", DynMoE, arXiv 2405.14297), within
/// each stratum. During the middle updates of every period it is recorded which experts each gate's tokens choose, and which
/// tokens choose none. Then a gate closes the experts that it never chose, and an expert that no gate keeps is removed; and a gate
/// that left tokens without an expert opens one whose row is the direction of their sum, R / ‖R‖.
///
/// Guards, which the published process has not: a gate that few tokens reached decides nothing, and a stratum keeps its most used
/// experts, however many must exist.
public struct PoolAdaptation: PoolMethod {
    /// What an added expert begins as.
    public enum NewExpert: String, CaseIterable, Sendable {
        /// Drawn, with outputs of 0: the model stays the function that it is.
        case zeroOutput = "zero_output"
        /// A copy of the most used one of its stratum.
        case copy
    }

    public struct Settings: Equatable, Sendable {
        /// Experts of each stratum at first.
        public var initial: [Int] = []
        /// Experts that every stratum keeps.
        public var minimum = 1
        /// Updates of a window: those in the middle of a period.
        public var record = 300
        /// Updates from one adaptation to the next.
        public var period = 900
        /// Tokens of a window without which a gate decides nothing.
        public var minimumTokens = 1000
        public var newExpert = NewExpert.zeroOutput

        public init() {}

        public init(
            initial: [Int], minimum: Int = 1, record: Int, period: Int, minimumTokens: Int, newExpert: NewExpert = .zeroOutput
        ) {
            (self.initial, self.minimum, self.newExpert) = (initial, minimum, newExpert)
            (self.record, self.period, self.minimumTokens) = (record, period, minimumTokens)
        }
    }

    /// nil: the experts stay those that they are.
    public var settings: Settings?

    public init() {}

    public static var fields: [ConfigurationField<Self>] {
        let settings = ConfigurationForm<Settings>.section(
            [
                .init("initial", \.initial, .listOrOne(of: .integer(1...65_536), count: 1...64), isRequired: true),
                .init("minimum", \.minimum, .integer(1...65_536)),
                .init("record", \.record, .integer(1...1_000_000_000)),
                .init("period", \.period, .integer(1...1_000_000_000)),
                .init("minimum_tokens", \.minimumTokens, .integer(0...1_000_000_000_000)),
                .init("new_expert", \.newExpert, .choice),
            ], over: Settings())
        return [.init("expert_pool", \.settings, .either("none", or: settings), isWritten: { $0.settings != nil })]
    }

    public func validate(_ configuration: MixtureConfiguration, _ path: String, _ problems: ConfigurationProblems) {
        guard let settings else { return }
        let strata = configuration.strata, initial = settings.initial, least = settings.minimum
        problems.require(
            configuration.rule.adapts, "\(path).expert_pool", "\(path).routing",
            text:
                "must be left out with \(path).routing: \(configuration.routing), whose tokens always find an expert: none shows "
                + "that one is wanted")
        problems.require(
            initial.count == strata.count, "\(path).expert_pool.initial", "\(path).strata",
            text: "must be a number for each of the \(strata.count) strata, but are \(initial.count)")
        problems.require(
            zip(initial, strata).allSatisfy { $0 <= $1 }, "\(path).expert_pool.initial", "\(path).strata",
            text: "must be at most \(path).strata, \(strata), which is how many experts may exist, but is \(initial)")
        problems.require(
            initial.allSatisfy { $0 >= least }, "\(path).expert_pool.minimum", "\(path).expert_pool.initial",
            text: "must be at most \(path).expert_pool.initial, \(initial), but is \(least)")
        let widths = configuration.expertWidths ?? []
        let isUneven = configuration.strata.indices.contains { stratum in
            Set(widths.indices.filter { configuration.stratumOfExpert[$0] == stratum }.map { widths[$0] }).count > 1
        }
        problems.require(
            settings.newExpert != .copy || !isUneven, "\(path).expert_pool.new_expert", "\(path).expert_widths",
            text:
                "must not be copy where experts of a stratum have different widths: a new one could not be the copy of another")
        problems.require(
            settings.record <= settings.period, "\(path).expert_pool.record", "\(path).expert_pool.period",
            text: "must be at most \(path).expert_pool.period, \(settings.period), but is \(settings.record)")
    }

    public func addition(to configuration: MixtureConfiguration) -> String? { settings == nil ? nil : "expert pool" }

    public var isInUse: Bool { settings != nil }
    public var initialExperts: [Int] { settings?.initial ?? [] }
    public var fewestExperts: Int { settings?.minimum ?? 1 }

    /// The updates of a period, from 0, that are recorded: of 900 and 300 those from 300 up to 600.
    private var window: Range<Int> {
        guard let settings else { return 0..<0 }
        let first = (settings.period - settings.record) / 2
        return first..<first + settings.record
    }

    public func records(update: Int) -> Bool { settings.map { window.contains((update - 1) % $0.period) } ?? false }

    public func adapts(after update: Int) -> Bool {
        settings.map { (update - 1) % $0.period == window.upperBound - 1 } ?? false
    }

    /// First gates close experts, then they open some, in their order: each the lowest of its own stratum that does not exist, or
    /// if all do, the lowest that exists and is closed to it.
    public func change(_ open: [[Bool]], _ records: [GateRecord], _ configuration: MixtureConfiguration) -> PoolChange {
        guard let settings else { return PoolChange() }
        var open = open, change = PoolChange()
        let gates = open.indices.filter { records[$0].tokens >= max(settings.minimumTokens, 1) }
        let visible = open.indices.map(configuration.visibleExperts(atStratum:))
        func own(_ gate: Int) -> Range<Int> {
            visible[gate].lowerBound..<visible[gate].lowerBound + configuration.strata[gate]
        }
        func isOpen(_ gate: Int, _ expert: Int) -> Bool { open[gate][expert - visible[gate].lowerBound] }
        func uses(_ gate: Int, _ expert: Int) -> Int { records[gate].chosen[expert - visible[gate].lowerBound] }
        /// Experts that a gate's tokens may choose exist.
        func existing() -> Set<Int> {
            Set(open.indices.flatMap { gate in visible[gate].filter { isOpen(gate, $0) } })
        }
        let before = existing()
        for gate in gates {
            // Of equally used ones the lowest.
            let byUse = own(gate).filter { isOpen(gate, $0) }.sorted { (-uses(gate, $0), $0) < (-uses(gate, $1), $1) }
            let kept = byUse.prefix(settings.minimum)
            for expert in visible[gate] where isOpen(gate, expert) && uses(gate, expert) == 0 && !kept.contains(expert) {
                open[gate][expert - visible[gate].lowerBound] = false
                change.closings.append(.init(stratum: gate, expert: expert))
            }
        }
        let left = existing()
        var after = left
        for gate in gates where records[gate].unrouted > 0 {
            guard let weight = Self.direction(records[gate].unroutedSum),
                let expert = own(gate).first(where: { !after.contains($0) })
                    ?? visible[gate].first(where: { after.contains($0) && !isOpen(gate, $0) })
            else { continue }
            open[gate][expert - visible[gate].lowerBound] = true
            after.insert(expert)
            change.openings.append(.init(stratum: gate, expert: expert, weight: weight))
        }
        change.removed = before.subtracting(left).sorted()
        let strata = configuration.stratumOfExpert
        change.added = after.subtracting(left).sorted().map { expert in
            .init(expert: expert, model: settings.newExpert == .copy ? mostUsed(left, strata[expert]) : nil)
        }
        /// Of the experts of a stratum; at least one of each is left.
        func mostUsed(_ experts: Set<Int>, _ stratum: Int) -> Int? {
            func total(_ expert: Int) -> Int {
                visible.indices.reduce(0) { $0 + (visible[$1].contains(expert) ? uses($1, expert) : 0) }
            }
            return experts.filter { strata[$0] == stratum }.min { (-total($0), $0) < (-total($1), $1) }
        }
        return change
    }

    /// R / ‖R‖; nil where the sum has no direction.
    private static func direction(_ sum: [Double]) -> [Float]? {
        let length = sum.reduce(0) { $0 + $1 * $1 }.squareRoot()
        return length > 0 ? sum.map { Float($0 / length) } : nil
    }
}
