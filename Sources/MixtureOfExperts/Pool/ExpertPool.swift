/// The experts of one block that exist, of those that its strata have room for.
public struct ExpertPool: Codable, Equatable, Sendable {
    /// What the names of the block's parameters begin with, such as `encoder.layers.1.moe`.
    public let block: String
    /// Their global ids, ascending.
    public private(set) var experts: [Int]
    /// What the gates have recorded in the window that is under way, by stratum; nil where none is.
    public private(set) var records: [GateRecord]?

    public init(block: String, experts: [Int]) {
        self.block = block
        self.experts = experts
    }

    /// Takes in the records of an update, by stratum.
    public mutating func add(_ update: [GateRecord]) {
        guard var sums = records else {
            records = update
            return
        }
        for stratum in sums.indices { sums[stratum] += update[stratum] }
        records = sums
    }

    /// Ends the window: what was recorded is of no more use, and the experts are those that the change leaves.
    public mutating func endWindow(_ change: PoolChange?) {
        records = nil
        guard let change else { return }
        experts = Set(experts).subtracting(change.removed).union(change.added.map(\.expert)).sorted()
    }

    /// Whether it may be a block's of the configuration, whose gates score rows of `width` numbers.
    public func isOf(_ configuration: MixtureConfiguration, width: Int) -> Bool {
        let inOrder = zip(experts, experts.dropFirst()).allSatisfy { $0 < $1 }
        guard inOrder, configuration.hasEveryStratum(experts) else { return false }
        guard let records else { return true }
        return records.count == configuration.strata.count
            && records.enumerated().allSatisfy { stratum, record in
                record.isOf(experts: configuration.visibleExperts(atStratum: stratum).count, width: width)
            }
    }
}

/// How the experts of one block change at an update's boundary.
public struct PoolChange: Equatable, Sendable {
    /// A gate from whose tokens an expert is to be hidden, or to which one is shown; `expert` is a global id.
    public struct Closing: Equatable, Sendable {
        public let stratum: Int
        public let expert: Int

        public init(stratum: Int, expert: Int) {
            self.stratum = stratum
            self.expert = expert
        }
    }

    public struct Opening: Equatable, Sendable {
        public let stratum: Int
        public let expert: Int
        /// The row that the gate scores it by from now on, [w].
        public let weight: [Float]

        public init(stratum: Int, expert: Int, weight: [Float]) {
            self.stratum = stratum
            self.expert = expert
            self.weight = weight
        }
    }

    /// An expert that begins to be.
    public struct Addition: Equatable, Sendable {
        public let expert: Int
        /// The expert whose values it begins with; nil: it begins as drawn, but with outputs of 0.
        public let model: Int?

        public init(expert: Int, model: Int?) {
            self.expert = expert
            self.model = model
        }
    }

    public var closings: [Closing] = []
    /// In the gates' order; a gate may open an expert that it has just closed.
    public var openings: [Opening] = []
    /// Experts that cease to be, ascending. One of them may be among those added: another takes its place.
    public var removed: [Int] = []
    /// In ascending order.
    public var added: [Addition] = []

    public init() {}

    /// Whether other experts exist afterwards.
    public var changesExperts: Bool { !removed.isEmpty || !added.isEmpty }
}
