import Collectives
import Testing
import _TestSupport

/// A rank's failure reaches all ranks; none hangs.
@Suite(.hangLimit) struct SimulatedFailureTests {
    private struct Fault: Error, Equatable, CustomStringConvertible {
        let rank: Int
        var description: String { "fault of rank \(rank)" }
    }

    /// How the ranks' operations ended, which run itself does not tell.
    private final class Record: @unchecked Sendable {
        private let errors: UnsafeMutablePointer<(any Error)?>
        private let count: Int
        init(_ count: Int) {
            self.count = count
            errors = .allocate(capacity: count)
            errors.initialize(repeating: nil, count: count)
        }
        deinit {
            errors.deinitialize(count: count)
            errors.deallocate()
        }
        /// Each rank writes its own place.
        func note<Value>(_ rank: Int, _ body: () throws -> Value) rethrows -> Value {
            do { return try body() } catch {
                errors[rank] = error
                throw error
            }
        }
        subscript(_ rank: Int) -> CollectiveError? { errors[rank] as? CollectiveError }
    }

    private static let operations: [(String, @Sendable (any Communicator) throws -> Void)] = [
        ("barrier", { try $0.barrier() }),
        ("broadcast", { _ = try $0.broadcast(Float(1), root: 0) }),
        ("allReduce", { _ = try $0.allReduce(1, .sum) }),
        (
            "startAllReduce",
            { communicator in
                var values: [Float] = [1]
                try values.withUnsafeMutableBufferPointer { try communicator.startAllReduce($0, .sum).wait() }
            }
        ),
        (
            "startAllReduce",
            { communicator in
                var values: [Float] = [1]
                try values.withUnsafeMutableBufferPointer {
                    let pending = try communicator.startAllReduce($0, .sum)
                    while try !pending.poll() {}
                }
            }
        ),
        (
            "startReduceScatter",
            { communicator in
                var values = [Float](repeating: 1, count: communicator.size)
                try values.withUnsafeMutableBufferPointer {
                    try communicator.startReduceScatter($0, counts: Array(repeating: 1, count: communicator.size), .sum).wait()
                }
            }
        ),
        ("allGather", { _ = try $0.allGather(1) }),
        ("allToAll", { _ = try $0.allToAll(counts: Array(repeating: 0, count: $0.size)) }),
        ("split", { _ = try $0.split(color: 0, key: 0) }),
        ("duplicate", { _ = try $0.duplicate() }),
    ]

    @Test(arguments: operations.indices) func everyOperationTellsOfAPeersFailure(_ index: Int) {
        let (name, operation) = Self.operations[index]
        for failing in 0..<3 {
            let record = Record(3)
            #expect(throws: Fault(rank: failing)) {
                try SimulatedCluster.run(ranks: 3) { communicator in
                    try record.note(communicator.rank) {
                        if communicator.rank == failing { throw Fault(rank: failing) }
                        try operation(communicator)
                    }
                }
            }
            for rank in 0..<3 where rank != failing {
                #expect(
                    record[rank]
                        == .peerFailed(
                            operation: name, rank: rank, peer: failing, reason: "fault of rank \(failing)"))
            }
        }
    }

    @Test func ranksInOtherCommunicatorsAreTold() {
        let record = Record(5)
        #expect(throws: Fault(rank: 0)) {
            try SimulatedCluster.run(ranks: 5) { communicator in
                let rank = communicator.rank
                let pair = try communicator.split(color: rank / 2, key: 0)
                let copy = try pair.duplicate()
                try communicator.barrier()
                if rank == 0 { throw Fault(rank: 0) }
                // Rank 1 waits for the failed rank; 2 and 3 meet on and on; 4 is alone in its group.
                try record.note(rank) { while true { try copy.barrier() } }
            }
        }
        for rank in 1..<5 {
            #expect(record[rank] == .peerFailed(operation: "barrier", rank: rank, peer: 0, reason: "fault of rank 0"))
        }
    }

    @Test func theLowestRanksOwnErrorIsThrown() {
        for _ in 0..<20 {
            #expect(throws: Fault(rank: 1)) {
                try SimulatedCluster.run(ranks: 4) { communicator in
                    // Both fail for reasons of their own; what 0 and 2 are told is a consequence.
                    if communicator.rank % 2 == 1 { throw Fault(rank: communicator.rank) }
                    do { try communicator.barrier() } catch { throw Fault(rank: communicator.rank) }
                }
            }
        }
    }

    @Test func aRankThatFinishesEarlyIsNamed() {
        let record = Record(3)
        #expect(throws: CollectiveError.self) {
            try SimulatedCluster.run(ranks: 3) { communicator in
                try record.note(communicator.rank) {
                    if communicator.rank == 1 { return }
                    try communicator.barrier()
                }
            }
        }
        for rank in [0, 2] {
            #expect(
                record[rank]
                    == .peerFailed(
                        operation: "barrier", rank: rank, peer: 1,
                        reason: "it has finished without taking part in barrier()"))
        }
    }

    @Test func aRankMayFinishBeforeOthersItHasNoPartIn() throws {
        let sums = try SimulatedCluster.run(ranks: 4) { communicator in
            let pair = try communicator.split(color: communicator.rank / 2, key: 0)
            if communicator.rank < 2 { return 0 }
            for _ in 0..<50 { try pair.barrier() }
            return try pair.allReduce(communicator.rank, .sum)
        }
        #expect(sums == [0, 0, 5, 5])
    }

    private static let disagreements: [(String, @Sendable (any Communicator) throws -> Void)] = [
        (
            "rank 2 calls barrier()",
            { communicator in
                if communicator.rank == 2 { try communicator.barrier() } else { _ = try communicator.allReduce(1, .sum) }
            }
        ),
        (
            "rank 2 calls allReduce(sum, 3 × float32)",
            { communicator in
                var values = [Float](repeating: 1, count: communicator.rank == 2 ? 3 : 2)
                try communicator.allReduce(&values, .sum)
            }
        ),
        (
            "rank 2 calls allReduce(maximum, 1 × float32)",
            {
                _ = try $0.allReduce(Float(1), $0.rank == 2 ? .maximum : .sum)
            }
        ),
        (
            "rank 2 calls allReduce(sum, 1 × float64)",
            { communicator in
                if communicator.rank == 2 {
                    _ = try communicator.allReduce(Double(1), .sum)
                } else {
                    _ = try communicator.allReduce(Float(1), .sum)
                }
            }
        ),
        (
            "rank 2 calls broadcast(1 × float32, root 1)",
            {
                _ = try $0.broadcast(Float(1), root: $0.rank == 2 ? 1 : 0)
            }
        ),
        ("rank 2 calls allGather(2 × uint8)", { _ = try $0.allGather([UInt8](repeating: 0, count: $0.rank == 2 ? 2 : 1)) }),
        (
            "rank 2 calls startReduceScatter(sum, [0, 0, 3] × float32)",
            { communicator in
                var values: [Float] = [1, 1, 1]
                try values.withUnsafeMutableBufferPointer {
                    try communicator.startReduceScatter($0, counts: communicator.rank == 2 ? [0, 0, 3] : [1, 1, 1], .sum).wait()
                }
            }
        ),
        (
            "rank 1 sends rank 0 1 rows, which expects 2",
            { communicator in
                let sent = [Int32](repeating: 0, count: 3)
                var received = [Int32](repeating: 0, count: 4)
                try sent.withUnsafeBufferPointer { sent in
                    try received.withUnsafeMutableBufferPointer {
                        try communicator.allToAll(
                            rowWidth: 1, sent, sentRows: [1, 1, 1], into: $0,
                            receivedRows: communicator.rank == 0 ? [1, 2, 1] : [1, 1, 1])
                    }
                }
            }
        ),
    ]

    @Test(arguments: disagreements.indices) func disagreementsAreToldToAll(_ index: Int) {
        let (detail, operation) = Self.disagreements[index]
        let record = Record(3)
        #expect(throws: CollectiveError.self) {
            try SimulatedCluster.run(ranks: 3) { communicator in
                try record.note(communicator.rank) {
                    try operation(communicator)
                }
            }
        }
        for rank in 0..<3 {
            guard case let .mismatch(_, place, text) = record[rank] else {
                Issue.record(
                    "rank \(rank) must have been told of a mismatch, but ended with \(String(describing: record[rank]))")
                continue
            }
            #expect(place == rank)
            #expect(text.contains(detail))
        }
    }

    @Test func ranksThatWaitForEachOtherAreTold() {
        let record = Record(3)
        #expect(throws: CollectiveError.self) {
            try SimulatedCluster.run(ranks: 3) { communicator in
                let copy = try communicator.duplicate()
                try record.note(communicator.rank) {
                    if communicator.rank == 0 { try copy.barrier() } else { try communicator.barrier() }
                }
            }
        }
        for rank in 0..<3 {
            guard case let .mismatch(_, _, detail) = record[rank] else {
                Issue.record("rank \(rank) ended with \(String(describing: record[rank]))")
                continue
            }
            #expect(detail.contains("no rank can go on: rank 0 waits in barrier() for ranks [1, 2]"))
        }
    }

    @Test func aFailureLeavesStartedReductionsSafe() {
        for _ in 0..<20 {
            #expect(throws: Fault(rank: 1)) {
                try SimulatedCluster.run(ranks: 3) { communicator in
                    let buffer = UnsafeMutableBufferPointer<Float>.allocate(capacity: 2_000_000)
                    buffer.initialize(repeating: 1)
                    // Freed while the others may still be combining what it contributed.
                    defer { buffer.deallocate() }
                    let pending = try communicator.startAllReduce(buffer, .sum)
                    if communicator.rank == 1 { throw Fault(rank: 1) }
                    try pending.wait()
                    try communicator.barrier()
                }
            }
        }
    }
}
