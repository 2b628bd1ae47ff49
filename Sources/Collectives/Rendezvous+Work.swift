// The work of each operation, cut into pieces.

extension Rendezvous.Work {
    /// Bytes of a piece: enough to be worth a lock, few enough that all ranks share a large buffer.
    private static let pieceBytes = 256 << 10

    static func broadcast(bytes: Int, _ contributions: [Rendezvous.Contribution], root: Int) -> Self {
        guard bytes > 0, contributions.count > 1 else { return Self() }
        let buffers = contributions.map(\.received!)
        return Self(pieces: (bytes + pieceBytes - 1) / pieceBytes) { piece in
            let begin = piece * pieceBytes
            let count = min(pieceBytes, bytes - begin)
            for rank in buffers.indices where rank != root {
                (buffers[rank] + begin).copyMemory(from: buffers[root] + begin, byteCount: count)
            }
        }
    }

    /// Combines the buffers, into the one that `order` names or into all. Pieces are of elements, not of ranks: how many
    /// threads share the work does not change the order of any sum.
    static func allReduce(
        _ reduction: Reduction, _ order: ReductionOrder, count: Int, _ buffers: [UnsafeMutableRawPointer], copyToAll: Bool
    ) -> Self {
        guard count > 0, buffers.count > 1 else { return Self() }
        let combined = buffers[order.result]
        let stride = reduction.element.stride
        let pieceCount = pieceBytes / stride
        let blockCount = Reduction.blockBytes / stride
        return Self(pieces: (count + pieceCount - 1) / pieceCount) { piece in
            let end = min((piece + 1) * pieceCount, count)
            for begin in Swift.stride(from: piece * pieceCount, to: end, by: blockCount) {
                let block = begin..<min(begin + blockCount, end)
                reduction.combine(buffers, order.steps, range: block)
                guard copyToAll else { continue }
                for buffer in buffers where buffer != combined {
                    (buffer + begin * stride).copyMemory(from: combined + begin * stride, byteCount: block.count * stride)
                }
            }
        }
    }

    /// `bytes[r]` come from rank r, which may have them in place.
    static func allGather(bytes: [Int], _ contributions: [Rendezvous.Contribution]) -> Self {
        let begins = begins(of: bytes)
        return Self(pieces: bytes.count) { source in
            guard bytes[source] > 0 else { return }
            let sent = contributions[source].sent!
            for destination in contributions where UnsafeRawPointer(destination.received! + begins[source]) != sent {
                (destination.received! + begins[source]).copyMemory(from: sent, byteCount: bytes[source])
            }
        }
    }

    /// `bytes` from each rank to each.
    static func allToAll(bytes: Int, _ contributions: [Rendezvous.Contribution]) -> Self {
        guard bytes > 0 else { return Self() }
        return Self(pieces: contributions.count) { destination in
            for (source, sender) in contributions.enumerated() {
                (contributions[destination].received! + source * bytes).copyMemory(
                    from: sender.sent! + destination * bytes, byteCount: bytes)
            }
        }
    }

    static func split(_ group: SimulatedGroup, _ contributions: [Rendezvous.Contribution]) -> Self {
        let order = contributions.indices.sorted {
            (contributions[$0].key, $0) < (contributions[$1].key, $1)
        }
        var parts: [Int: SimulatedGroup] = [:]
        for (color, positions) in Dictionary(grouping: order, by: { contributions[$0].color }) {
            parts[color] = SimulatedGroup(world: group.world, members: positions.map { group.members[$0] })
        }
        return Self(groups: contributions.map { parts[$0.color]! })
    }

    /// The first element of each of consecutive pieces.
    private static func begins(of counts: [Int]) -> [Int] {
        var begin = 0
        return counts.map { count in
            defer { begin += count }
            return begin
        }
    }
}
