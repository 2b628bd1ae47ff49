import Collectives
import Testing
import _TestSupport

@Suite struct SimulatedConformanceTests {
    @Test(arguments: [1, 2, 3, 4, 8]) func conformance(ranks: Int) throws {
        _ = try SimulatedCluster.run(ranks: ranks) { try CollectiveConformance.run($0) }
    }

    @Test func resultsComeInRankOrder() throws {
        #expect(try SimulatedCluster.run(ranks: 5) { $0.rank * 10 + $0.size } == [5, 15, 25, 35, 45])
    }

    /// Nobody has to wait in order for a started reduction to be contributed to.
    @Test func aStartedReductionDoesNotBlock() throws {
        let sums = try SimulatedCluster.run(ranks: 3) { communicator in
            let copy = try communicator.duplicate()
            var values: [Float] = [Float(communicator.rank)]
            try values.withUnsafeMutableBufferPointer { values in
                // Rank 0 joins the reduction only once the others have gone through this barrier, after their start.
                if communicator.rank == 0 { try communicator.barrier() }
                let pending = try copy.startAllReduce(values, .sum)
                if communicator.rank != 0 {
                    #expect(try !pending.poll())
                    try communicator.barrier()
                }
                try pending.wait()
            }
            return values[0]
        }
        #expect(sums == [3, 3, 3])
    }

    @Test func ranksHaveDeepStacks() throws {
        // About 40 MB of frames.
        @Sendable func depth(_ n: Int) -> Int {
            withUnsafeTemporaryAllocation(of: UInt8.self, capacity: 1000) { space in
                space.initialize(repeating: UInt8(truncatingIfNeeded: n))
                return n == 0 ? 0 : depth(n - 1) + (space[n % 1000] == UInt8(truncatingIfNeeded: n) ? 1 : 0)
            }
        }
        #expect(try SimulatedCluster.run(ranks: 2) { _ in depth(30_000) } == [30_000, 30_000])
    }
}
