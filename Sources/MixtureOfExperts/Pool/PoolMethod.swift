import Autograd

/// A method by which experts of a block come and go while it trains. A stratum's size is then how many of its experts may exist
/// at most; those that do have their parameters, moments and places, others have none.
public protocol PoolMethod: MixtureMethod {
    /// Whether the configuration makes use of it.
    var isInUse: Bool { get }
    /// The experts of each stratum that exist at first.
    var initialExperts: [Int] { get }
    /// So many experts of every stratum exist always: experts can be spread over no more ranks.
    var fewestExperts: Int { get }
    /// Whether what an update's tokens ask for is recorded. Updates count from 1.
    func records(update: Int) -> Bool
    /// Whether experts come and go after an update.
    func adapts(after update: Int) -> Bool
    /// How a block's experts change, from what was recorded, by stratum. `open` says by gate which of the experts that it sees its
    /// tokens may choose. A pure function: every rank decides the same.
    func change(_ open: [[Bool]], _ records: [GateRecord], _ configuration: MixtureConfiguration) -> PoolChange
}

/// A gate that tells its tokens which of the experts that it sees they may choose, and can be told to.
public protocol AdaptiveGate: Gate {
    /// [V].
    var open: [Bool] { get }
    /// Hides a visible expert, counted from the gate's first, from the tokens.
    func close(_ expert: Int)
    /// Shows one to them, scored by `weight` [w] under a threshold of 0.
    func open(_ expert: Int, weight: [Float])
    /// What of the replicated parameters is about one visible expert: elements of their section.
    func elements(of expert: Int) -> [Range<Int>]
}

extension MixtureConfiguration {
    /// The method by which experts come and go; nil where they stay.
    public var pool: (any PoolMethod)? { methods(for: (any PoolMethod).self).first(where: \.isInUse) }

    /// The same with all experts that may exist, which stay.
    public var ofAllExperts: MixtureConfiguration {
        var all = self
        all.methods.removeAll { $0 is any PoolMethod }
        return all
    }

    /// The experts that exist at first, by global id: the first ones of each stratum, all of them where they stay.
    public var initialExperts: [Int] {
        guard let pool else { return Array(0..<experts) }
        return strata.indices.flatMap { stratum in
            let first = strata[..<stratum].reduce(0, +)
            return first..<first + pool.initialExperts[stratum]
        }
    }

    /// The fewest experts of each stratum that exist at any time in any block.
    public var fewestExperts: [Int] {
        let fewest = decoderStrata.map { zip($0, strata).map { min($0, $1) } } ?? strata
        return pool.map { pool in fewest.map { min($0, pool.fewestExperts) } } ?? fewest
    }

    /// Whether these global ids are experts of the configuration, as many of each stratum as must exist at least.
    public func hasEveryStratum(_ ids: [Int]) -> Bool {
        guard ids.allSatisfy((0..<experts).contains) else { return false }
        var counts = [Int](repeating: 0, count: strata.count)
        let strata = stratumOfExpert
        for id in ids { counts[strata[id]] += 1 }
        return zip(counts, fewestExperts).allSatisfy { $0 >= $1 }
    }
}
