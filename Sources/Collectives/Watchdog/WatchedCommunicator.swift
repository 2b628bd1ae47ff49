/// A communicator whose operations are noted in a journal, so that a watchdog sees where its rank waits. It does nothing else:
/// results, errors and order are those of the communicator inside.
final class WatchedCommunicator: Communicator {
    private let inner: any Communicator
    private let journal: CollectiveJournal
    private let group: CollectiveJournal.Group
    private let index: Int
    /// Operations entered so far.
    private var number = 0

    init(_ inner: any Communicator, id: String, members: [Int], journal: CollectiveJournal) {
        self.inner = inner
        self.journal = journal
        group = CollectiveJournal.Group(id: id, members: members)
        index = journal.add(group)
    }

    var rank: Int { inner.rank }
    var size: Int { inner.size }
    var movesWhileComputing: Bool { inner.movesWhileComputing }

    func barrier() throws {
        try watch(.barrier) { try inner.barrier() }
    }

    func broadcast<Element: CommunicableElement>(_ buffer: UnsafeMutableBufferPointer<Element>, root: Int) throws {
        try watch(.broadcast) { try inner.broadcast(buffer, root: root) }
    }

    func allReduce<Element: CommunicableElement>(
        _ buffer: UnsafeMutableBufferPointer<Element>, _ operation: ReductionOperation
    ) throws {
        try watch(.allReduce) { try inner.allReduce(buffer, operation) }
    }

    func startAllReduce<Element: CommunicableElement>(
        _ contributions: [UnsafeMutableBufferPointer<Element>], _ operation: ReductionOperation, order: ReductionOrder,
        into result: UnsafeMutableBufferPointer<Element>
    ) throws -> any PendingCollective {
        let number = enter()
        return Pending(try inner.startAllReduce(contributions, operation, order: order, into: result)) { [self] in
            try wait(.startAllReduce, number, $0)
        }
    }

    func startReduceScatter<Element: CommunicableElement>(
        _ contributions: [UnsafeMutableBufferPointer<Element>], counts: [Int], _ operation: ReductionOperation,
        order: ReductionOrder, into result: UnsafeMutableBufferPointer<Element>
    ) throws -> any PendingCollective {
        let number = enter()
        return Pending(
            try inner.startReduceScatter(contributions, counts: counts, operation, order: order, into: result)
        ) { [self] in try wait(.startReduceScatter, number, $0) }
    }

    func allGather<Element: CommunicableElement>(
        _ sent: UnsafeBufferPointer<Element>, into received: UnsafeMutableBufferPointer<Element>
    ) throws {
        try watch(.allGather) { try inner.allGather(sent, into: received) }
    }

    func allGather<Element: CommunicableElement>(_ buffer: UnsafeMutableBufferPointer<Element>, counts: [Int]) throws {
        try watch(.allGather) { try inner.allGather(buffer, counts: counts) }
    }

    func allToAll<Element: CommunicableElement>(
        _ sent: UnsafeBufferPointer<Element>, into received: UnsafeMutableBufferPointer<Element>
    ) throws {
        try watch(.allToAll) { try inner.allToAll(sent, into: received) }
    }

    func startAllToAll<Element: CommunicableElement>(
        rowWidth: Int, _ sent: UnsafeBufferPointer<Element>, into received: UnsafeMutableBufferPointer<Element>,
        parts: [RowPart]
    ) throws -> any RowExchange {
        Exchange(
            try inner.startAllToAll(rowWidth: rowWidth, sent, into: received, parts: parts), enter: { [self] in enter() }
        ) { [self] in try wait(.allToAllRows, $0, $1) }
    }

    func split(color: Int, key: Int) throws -> any Communicator {
        try watch(.split) {
            let part = try inner.split(color: color, key: key)
            // MPI does not say which ranks a communicator has.
            let members = try part.allGather(group.members[rank])
            return WatchedCommunicator(part, id: "\(group.id)/\(number).\(color)", members: members, journal: journal)
        }
    }

    func duplicate() throws -> any Communicator {
        try watch(.duplicate) {
            let copy = try inner.duplicate()
            return WatchedCommunicator(copy, id: "\(group.id)/\(number)", members: group.members, journal: journal)
        }
    }

    private func watch<Value>(_ operation: WatchedOperation, _ body: () throws -> Value) rethrows -> Value {
        try wait(operation, enter(), body)
    }

    private func enter() -> Int {
        number += 1
        group.entered.store(number, ordering: .relaxed)
        return number
    }

    private func wait<Value>(_ operation: WatchedOperation, _ number: Int, _ body: () throws -> Value) rethrows -> Value {
        var place = CollectivePlace(operation: operation, group: index, number: number, isWaiting: true)
        journal.note(place)
        defer {
            place.isWaiting = false
            journal.note(place)
        }
        return try body()
    }

    /// A collective under way: waiting for it counts as being in it, polling does not.
    private final class Pending: PendingCollective {
        private let inner: any PendingCollective
        private let waiting: (() throws -> Void) throws -> Void

        init(_ inner: any PendingCollective, waiting: @escaping (() throws -> Void) throws -> Void) {
            self.inner = inner
            self.waiting = waiting
        }

        func poll() throws -> Bool { try inner.poll() }
        func wait() throws { try waiting { try inner.wait() } }
    }

    /// An exchange under way: each part counts as an operation that is entered when it is sent.
    private final class Exchange: RowExchange {
        private let inner: any RowExchange
        private let enter: () -> Int
        private let waiting: (Int, () throws -> Void) throws -> Void
        /// The parts' numbers.
        private var numbers: [Int] = []

        init(
            _ inner: any RowExchange, enter: @escaping () -> Int, waiting: @escaping (Int, () throws -> Void) throws -> Void
        ) {
            self.inner = inner
            self.enter = enter
            self.waiting = waiting
        }

        func sendNext() throws {
            numbers.append(enter())
            try inner.sendNext()
        }

        func hasArrived(_ part: Int) throws -> Bool { try inner.hasArrived(part) }
        func wait(for part: Int) throws { try waiting(numbers[part]) { try inner.wait(for: part) } }

        func finish() throws {
            guard let last = numbers.last else { return try inner.finish() }
            try waiting(last) { try inner.finish() }
        }
    }
}
