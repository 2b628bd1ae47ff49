/// An exchange of rows of simulated ranks. A rank that sends copies its rows, and those that receive fetch them from there: so a
/// rank that fails may free its buffers.
final class SimulatedRowExchange: RowExchange {
    private let communicator: SimulatedCommunicator
    private let signature: OperationSignature
    private let rowBytes: Int
    private let sent: UnsafeRawPointer?
    private let received: UnsafeMutableRawPointer?
    private let parts: [RowPart]
    /// Where the ranks meet for each part that this one has sent; nil once its rows have been fetched.
    private var meetings: [Rendezvous?] = []

    init(
        _ communicator: SimulatedCommunicator, _ signature: OperationSignature, rowBytes: Int, sent: UnsafeRawPointer?,
        received: UnsafeMutableRawPointer?, _ parts: [RowPart]
    ) {
        self.communicator = communicator
        self.signature = signature
        self.rowBytes = rowBytes
        self.sent = sent
        self.received = received
        self.parts = parts
    }

    private var world: SimulatedWorld { communicator.group.world }
    private var rankInWorld: Int { communicator.group.members[communicator.rank] }

    func sendNext() throws {
        let part = parts[meetings.count], members = communicator.group.members
        let runs = part.sentRuns.filter { $0.count * rowBytes > 0 }
        let staged = StagingBuffer(
            copying: runs.map { UnsafeRawBufferPointer(start: sent! + $0.row * rowBytes, count: $0.count * rowBytes) },
            from: world.staging)
        meetings.append(
            try communicator.arrive(signature, Rendezvous.Contribution(rows: part, staging: [staged])) {
                try Self.requireAgreement($0.map { $0.rows! }, members: members)
                return Rendezvous.Work()
            })
    }

    func hasArrived(_ part: Int) throws -> Bool {
        guard let meeting = meetings[part] else { return true }
        guard try world.poll(meeting, rankInWorld) else { return false }
        fetch(part, meeting)
        return true
    }

    func wait(for part: Int) throws {
        guard let meeting = meetings[part] else { return }
        try world.wait(for: meeting, rankInWorld)
        fetch(part, meeting)
    }

    func finish() throws {
        precondition(meetings.count == parts.count, "allToAll rows: all parts must be sent, but \(meetings.count) are")
        for part in parts.indices { try wait(for: part) }
    }

    private func fetch(_ part: Int, _ meeting: Rendezvous) {
        meetings[part] = nil
        guard rowBytes > 0 else { return }
        for (source, contribution) in meeting.contributions.enumerated() {
            var staged = UnsafeRawPointer(contribution!.staging[0].bytes)
            var places = parts[part].receivedRuns.filter { $0.peer == source && $0.count > 0 }[...]
            for run in contribution!.rows!.sentRuns {
                if run.peer == communicator.rank, run.count > 0 {
                    (received! + places.removeFirst().row * rowBytes).copyMemory(from: staged, byteCount: run.count * rowBytes)
                }
                staged += run.count * rowBytes
            }
        }
    }

    /// - Throws: `Disagreement` where a rank sends a peer other runs of rows than that peer expects.
    private static func requireAgreement(_ parts: [RowPart], members: [Int]) throws {
        func counts(_ runs: [RowRun], with peer: Int) -> [Int] { runs.filter { $0.peer == peer && $0.count > 0 }.map(\.count) }
        for (source, sender) in parts.enumerated() {
            for (destination, receiver) in parts.enumerated() {
                let sent = counts(sender.sentRuns, with: destination), expected = counts(receiver.receivedRuns, with: source)
                guard sent == expected else {
                    func text(_ counts: [Int]) -> String {
                        counts.isEmpty ? "0" : counts.map(String.init).joined(separator: " + ")
                    }
                    throw Disagreement(
                        detail: "rank \(members[source]) sends rank \(members[destination]) \(text(sent)) rows, "
                            + "which expects \(text(expected))")
                }
            }
        }
    }
}
