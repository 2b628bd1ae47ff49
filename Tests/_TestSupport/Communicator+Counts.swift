import Collectives

extension Communicator {
    /// Tells rank r `counts[r]`; returns what rank r told this one, in rank order.
    public func allToAll(counts: [Int]) throws -> [Int] { try allToAll(counts.map(Int64.init)).map(Int.init) }
}
