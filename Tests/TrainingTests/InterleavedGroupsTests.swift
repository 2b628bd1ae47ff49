import Collectives
import TensorCore
import Testing
import _TestSupport

@testable import Training

@Suite(.hangLimit) struct InterleavedGroupsTests {
    private struct Failure: Error, Equatable {
        let piece: Int
    }

    @Test func piecesReturnInTheirOrder() throws {
        let context = ComputeContext()
        var order: [Int] = [], lanes: [Int] = []
        let values = try context.inTurns(3, rank: 0, onTurn: { lanes.append($0) }) { piece in
            order.append(piece)
            try context.handOver()
            order.append(piece)
            return 10 * piece
        }
        #expect(values == [0, 10, 20] && order == [0, 1, 2, 0, 1, 2])
        #expect(lanes == order + [0], "afterwards the first is at work")
        #expect(context.turns == nil)
    }

    /// The error is the failing piece's, not that of those that are given up with it.
    @Test(arguments: [0, 1]) func oneThatFailsEndsBoth(failing: Int) {
        let context = ComputeContext()
        #expect(throws: Failure(piece: failing)) {
            try context.inTurns(2, rank: 0, onTurn: { _ in }) { piece in
                try context.handOver()
                if piece == failing { throw Failure(piece: piece) }
                for _ in 0..<5 { try context.handOver() }
            }
        }
        #expect(context.turns == nil)
    }

    /// A rank whose second group fails ends the others, which wait for it in an exchange of the first.
    @Test func aRankThatFailsInTurnsEndsAll() {
        #expect(throws: Failure(piece: 1)) {
            _ = try SimulatedCluster.run(ranks: 2) { world in
                let context = ComputeContext()
                _ = try context.inTurns(2, rank: world.rank, onTurn: { _ in }) { piece in
                    for _ in 0..<3 {
                        try context.handOver()
                        if world.rank == 1, piece == 1 { throw Failure(piece: 1) }
                        _ = try world.allReduce(1, .sum)
                    }
                }
            }
        }
    }
}
