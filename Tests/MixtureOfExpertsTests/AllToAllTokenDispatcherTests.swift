import Collectives
import MixtureOfExperts
import TensorCore
import Testing
import _TestSupport

@Suite struct AllToAllTokenDispatcherTests {
    @Test(arguments: [1, 2, 3, 4]) func conformance(ranks: Int) throws {
        _ = try SimulatedCluster.run(ranks: ranks) { try DispatchConformance.run($0) }
    }

    @Test(arguments: [2, 4]) func conformanceUnderMPI(ranks: Int) throws {
        let outcome = try MPILauncher.run(
            executable: BuiltProducts.path("mpi-conformance"), arguments: ["token-dispatch"], ranks: ranks, timeout: 60)
        #expect(outcome.status == 0, "\(outcome)")
        #expect(outcome.stdout.hasSuffix("conformance passed\n"))
    }

    /// Two ranks, three experts, written out.
    @Test func aPlanByHand() throws {
        _ = try SimulatedCluster.run(ranks: 2) { communicator in
            let context = ComputeContext(threads: 1)
            let dispatcher = AllToAllTokenDispatcher(
                communicator: communicator, placement: ExpertPlacement(strata: [3], places: 2))
            // Experts 0 and 1 live on place 0, expert 2 on place 1. Rank 0's tokens want 2, 0, 2; rank 1's only token wants 1.
            let wanted = communicator.rank == 0 ? [2, 0, 2] : [1]
            let scores = context.zeros(wanted.count, 3)
            for (token, expert) in wanted.enumerated() { scores[token, expert] = 1 }
            let router = StratifiedRouter(topK: 1, capacityFactor: nil, secondExpert: .best, normalization: .afterDrop)
            let plan = try dispatcher.plan(
                context,
                router.route(
                    scores: scores, visible: 0..<3, rows: wanted.indices.map { Int32($0) }, key: RandomKey(seed: 1)))
            if communicator.rank == 0 {
                #expect(plan.rowTokens == [1, 0, 2])
                #expect(plan.slots == [1, 0, 2])
                #expect(plan.sentRows == [1, 2])
                #expect(plan.receivedRows == [1, 1])
                #expect(plan.expertRows == [1, 1])
            } else {
                #expect(plan.rowTokens == [0])
                #expect(plan.slots == [0])
                #expect(plan.sentRows == [1, 0])
                #expect(plan.receivedRows == [2, 0])
                #expect(plan.expertRows == [2])
            }
        }
    }
}
