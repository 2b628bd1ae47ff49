import Foundation
import Synchronization
import Testing
import _TestSupport

@testable import TensorCore

@Suite(.hangLimit) struct TurnsTests {
    private struct Failure: Error {}

    /// What pieces do, in the order in which they do it; only the one whose turn it is writes.
    private final class Record: @unchecked Sendable {
        var entries: [String] = []
        var turns: [Int] = []
        var failures = [(any Error)?](repeating: nil, count: 3)
    }

    /// Runs three pieces, piece p handing on `handOvers[p]` times; piece `failing` throws before it first hands on.
    private static func record(_ handOvers: [Int], failing: Int? = nil) -> Record {
        let record = Record(), turns = Turns(pieces: 3) { record.turns.append($0) }, group = DispatchGroup()
        // The last begins first: the order is not that of the threads.
        for piece in (0..<3).reversed() {
            DispatchQueue(label: "piece \(piece)").async(group: group) {
                do {
                    try turns.run(piece) {
                        record.entries.append("\(piece) begins")
                        if piece == failing { throw Failure() }
                        for part in 0..<handOvers[piece] {
                            try turns.handOver()
                            record.entries.append("\(piece) has part \(part)")
                        }
                    }
                } catch {
                    record.failures[piece] = error
                }
            }
        }
        group.wait()
        return record
    }

    @Test func oneRunsAtATimeInOrder() {
        let record = Self.record([2, 1, 3])
        #expect(
            record.entries == [
                "0 begins", "1 begins", "2 begins", "0 has part 0", "1 has part 0", "2 has part 0", "0 has part 1",
                "2 has part 1", "2 has part 2",
            ])
        #expect(record.turns == [0, 1, 2, 0, 1, 2, 0, 2, 2])
        #expect(record.failures.allSatisfy { $0 == nil })
    }

    /// A piece that fails ends all: those that have begun at their next turn, and those that have not before they begin.
    @Test(arguments: 0..<3) func afterAFailureNoneGoesOn(failing: Int) {
        let record = Self.record([2, 1, 3], failing: failing)
        #expect(record.entries == (0...failing).map { "\($0) begins" })
        for (piece, failure) in record.failures.enumerated() {
            #expect(piece == failing ? failure is Failure : failure is Turns.Abandoned)
        }
    }

    @Test func whoHasNoTurnsGoesOn() throws {
        try ComputeContext().handOver()
    }
}
