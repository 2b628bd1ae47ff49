import Synchronization

/// A communicator among threads of one process. Data is really exchanged, from one rank's memory to another's.
///
/// Ranks that call different operations, or disagree on sizes, all get `CollectiveError.mismatch`, and so do ranks that
/// wait for each other in a circle. After a failure no operation of the run succeeds on any communicator.
/// Ranks in errors are those of the world.
public final class SimulatedCommunicator: Communicator {
    public let rank: Int
    public var size: Int { group.members.count }
    /// Ranks copy what they send at once.
    public var movesWhileComputing: Bool { true }

    let group: SimulatedGroup
    private let isCalled = Atomic<Bool>(false)
    private var sequence = 0

    init(group: SimulatedGroup, position: Int) {
        self.group = group
        rank = position
    }

    public func barrier() throws {
        _ = try meet(OperationSignature(name: "barrier"), Rendezvous.Contribution()) { _ in Rendezvous.Work() }
    }

    public func broadcast<Element: CommunicableElement>(
        _ buffer: UnsafeMutableBufferPointer<Element>, root: Int
    ) throws {
        requireRoot(root)
        let signature = OperationSignature(
            name: "broadcast", element: Element.elementType, count: buffer.count, root: root)
        _ = try meet(signature, Rendezvous.Contribution(received: UnsafeMutableRawPointer(buffer.baseAddress))) {
            .broadcast(bytes: buffer.count * MemoryLayout<Element>.stride, $0, root: root)
        }
    }

    public func allReduce<Element: CommunicableElement>(
        _ buffer: UnsafeMutableBufferPointer<Element>, _ operation: ReductionOperation
    ) throws {
        let signature = OperationSignature(
            name: "allReduce", reduction: operation, element: Element.elementType, count: buffer.count)
        _ = try meet(signature, Rendezvous.Contribution(received: UnsafeMutableRawPointer(buffer.baseAddress))) {
            .allReduce(
                Reduction(operation: operation, element: Element.elementType), .ranks($0.count), count: buffer.count,
                $0.compactMap(\.received), copyToAll: true)
        }
    }

    public func startAllReduce<Element: CommunicableElement>(
        _ contributions: [UnsafeMutableBufferPointer<Element>], _ operation: ReductionOperation, order: ReductionOrder,
        into result: UnsafeMutableBufferPointer<Element>
    ) throws -> any PendingCollective {
        let signature = OperationSignature(
            name: "startAllReduce", reduction: operation, element: Element.elementType, count: result.count, order: order)
        return try start(signature, contributions, operation, order, into: result, share: 0..<result.count)
    }

    public func startReduceScatter<Element: CommunicableElement>(
        _ contributions: [UnsafeMutableBufferPointer<Element>], counts: [Int], _ operation: ReductionOperation,
        order: ReductionOrder, into result: UnsafeMutableBufferPointer<Element>
    ) throws -> any PendingCollective {
        requirePieces("startReduceScatter", of: result.count, counts: counts)
        let signature = OperationSignature(
            name: "startReduceScatter", reduction: operation, element: Element.elementType, counts: counts, order: order)
        let begin = counts[..<rank].reduce(0, +)
        return try start(signature, contributions, operation, order, into: result, share: begin..<begin + counts[rank])
    }

    /// `share` is what of the result this rank gets.
    private func start<Element: CommunicableElement>(
        _ signature: OperationSignature, _ contributions: [UnsafeMutableBufferPointer<Element>],
        _ operation: ReductionOperation, _ order: ReductionOrder, into result: UnsafeMutableBufferPointer<Element>,
        share: Range<Int>
    ) throws -> any PendingCollective {
        requireContributions(signature.name, contributions.map(\.count), of: result.count, order)
        let stride = MemoryLayout<Element>.stride
        let staging = contributions.map {
            StagingBuffer(copying: UnsafeMutableRawBufferPointer($0), from: group.world.staging)
        }
        let rendezvous = try arrive(signature, Rendezvous.Contribution(staging: staging)) {
            .allReduce(
                Reduction(operation: operation, element: Element.elementType), order, count: result.count,
                $0.flatMap { $0.staging.map(\.bytes) }, copyToAll: false)
        }
        return SimulatedPendingReduction(
            rendezvous, into: UnsafeMutableRawBufferPointer(result),
            result: share.lowerBound * stride..<share.upperBound * stride, combined: order.result, world: group.world,
            rank: group.members[rank])
    }

    public func allGather<Element: CommunicableElement>(
        _ sent: UnsafeBufferPointer<Element>, into received: UnsafeMutableBufferPointer<Element>
    ) throws {
        requireGathered(sent.count, into: received.count)
        let signature = OperationSignature(name: "allGather", element: Element.elementType, count: sent.count)
        let bytes = Array(repeating: sent.count * MemoryLayout<Element>.stride, count: size)
        _ = try meet(signature, contribution(sent, received)) { .allGather(bytes: bytes, $0) }
    }

    public func allGather<Element: CommunicableElement>(
        _ buffer: UnsafeMutableBufferPointer<Element>, counts: [Int]
    ) throws {
        requirePieces("allGather", of: buffer.count, counts: counts)
        let signature = OperationSignature(name: "allGather", element: Element.elementType, counts: counts)
        let bytes = counts.map { $0 * MemoryLayout<Element>.stride }, begin = counts[..<rank].reduce(0, +)
        let own = UnsafeBufferPointer(rebasing: buffer[begin..<begin + counts[rank]])
        _ = try meet(signature, contribution(own, buffer)) { .allGather(bytes: bytes, $0) }
    }

    public func allToAll<Element: CommunicableElement>(
        _ sent: UnsafeBufferPointer<Element>, into received: UnsafeMutableBufferPointer<Element>
    ) throws {
        requireEqualPieces(sent.count, into: received.count)
        let signature = OperationSignature(name: "allToAll", element: Element.elementType, count: sent.count)
        let bytes = sent.count / size * MemoryLayout<Element>.stride
        _ = try meet(signature, contribution(sent, received)) { .allToAll(bytes: bytes, $0) }
    }

    public func startAllToAll<Element: CommunicableElement>(
        rowWidth: Int, _ sent: UnsafeBufferPointer<Element>, into received: UnsafeMutableBufferPointer<Element>,
        parts: [RowPart]
    ) throws -> any RowExchange {
        requireRuns(width: rowWidth, sent.count, into: received.count, parts)
        return SimulatedRowExchange(
            self, OperationSignature(name: "allToAll rows", element: Element.elementType, count: rowWidth),
            rowBytes: rowWidth * MemoryLayout<Element>.stride, sent: UnsafeRawPointer(sent.baseAddress),
            received: UnsafeMutableRawPointer(received.baseAddress), parts)
    }

    public func split(color: Int, key: Int) throws -> any Communicator {
        precondition(color >= 0, "split: color must be at least 0, but is \(color)")
        let rendezvous = try meet(
            OperationSignature(name: "split"), Rendezvous.Contribution(color: color, key: key)
        ) { [group] in .split(group, $0) }
        let part = rendezvous.work.groups[rank]
        return SimulatedCommunicator(group: part, position: part.members.firstIndex(of: group.members[rank])!)
    }

    public func duplicate() throws -> any Communicator {
        let rendezvous = try meet(OperationSignature(name: "duplicate"), Rendezvous.Contribution()) { [group] in
            let copy = SimulatedGroup(world: group.world, members: group.members)
            return Rendezvous.Work(groups: Array(repeating: copy, count: $0.count))
        }
        return SimulatedCommunicator(group: rendezvous.work.groups[rank], position: rank)
    }

    private func contribution<Element>(
        _ sent: UnsafeBufferPointer<Element>, _ received: UnsafeMutableBufferPointer<Element>
    ) -> Rendezvous.Contribution {
        Rendezvous.Contribution(
            sent: UnsafeRawPointer(sent.baseAddress), received: UnsafeMutableRawPointer(received.baseAddress))
    }

    func arrive(
        _ signature: OperationSignature, _ contribution: Rendezvous.Contribution,
        plan: ([Rendezvous.Contribution]) throws -> Rendezvous.Work
    ) throws -> Rendezvous {
        precondition(
            !isCalled.exchange(true, ordering: .acquiring), "\(signature.name): a communicator is one thread's at a time")
        defer {
            sequence += 1
            isCalled.store(false, ordering: .releasing)
        }
        return try group.world.arrive(
            group, position: rank, sequence: sequence, signature, contribution, plan: plan)
    }

    private func meet(
        _ signature: OperationSignature, _ contribution: Rendezvous.Contribution,
        plan: ([Rendezvous.Contribution]) throws -> Rendezvous.Work
    ) throws -> Rendezvous {
        let rendezvous = try arrive(signature, contribution, plan: plan)
        try group.world.wait(for: rendezvous, group.members[rank])
        return rendezvous
    }
}
