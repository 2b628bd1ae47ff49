import Collectives
import MixtureOfExperts
import TensorCore
import Testing
import _TestSupport

@Suite struct AllToAllTokenDispatcherTests {
    @Test(arguments: [1, 2, 3, 4]) func conformance(ranks: Int) throws {
        _ = try SimulatedCluster.run(ranks: ranks) { try DispatchConformance.run($0) }
    }

    @Test(arguments: [(2, []), (4, []), (4, ["served"])] as [(Int, [String])])
    func conformanceUnderMPI(ranks: Int, mode: [String]) throws {
        let outcome = try MPILauncher.run(
            executable: BuiltProducts.path("mpi-conformance"), arguments: ["token-dispatch"] + mode, ranks: ranks, timeout: 60)
        #expect(outcome.status == 0, "\(outcome)")
        #expect(outcome.stdout.hasSuffix("conformance passed\n"))
    }

    /// Routes tokens as written down, to the experts of one stratum.
    private static func decision(
        _ context: ComputeContext, _ choices: [[Int]], of experts: Int, capacity: Float? = nil
    ) -> RoutingDecision {
        var configuration = MixtureConfiguration(
            strata: [experts], methods: [ScriptedChoice(choices, leading: choices.map { $0.first ?? 0 })])
        configuration.capacityFactor = capacity
        return StratifiedRouter(GateSite(name: "gate", configuration: configuration, stratum: 0, dim: 1)).route(
            context, logits: context.zeros(choices.count, experts), rows: choices.indices.map { Int32($0) },
            key: RandomKey(seed: 1), isTraining: true)
    }

    /// Two ranks, three experts, written out.
    @Test func aPlanByHand() throws {
        _ = try SimulatedCluster.run(ranks: 2) { communicator in
            let context = ComputeContext(threads: 1)
            let dispatcher = AllToAllTokenDispatcher(
                communicator: communicator, placement: ExpertPlacement(strata: [3], places: 2))
            // Experts 0 and 1 live on place 0, expert 2 on place 1. Rank 0's tokens want 2, 0, 2; rank 1's only token wants 1.
            let plan = try dispatcher.plan(
                context, Self.decision(context, communicator.rank == 0 ? [[2], [0], [2]] : [[1]], of: 3))
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

    /// Tokens of two, none, three and one choices.
    @Test func aRaggedPlanByHand() throws {
        try alone { communicator in
            let context = ComputeContext(threads: 1), decision = Self.decision(context, [[1, 2], [], [2, 0, 1], [0]], of: 3)
            let local = LocalTokenDispatcher(placement: ExpertPlacement(strata: [3], places: 1))
            let allToAll = AllToAllTokenDispatcher(communicator: communicator, placement: local.placement)
            for plan in [local.plan(context, decision), try allToAll.plan(context, decision)] {
                #expect(plan.expertRows == [2, 2, 2])
                #expect(plan.rowTokens == [2, 3, 0, 2, 0, 2])
                #expect(plan.slots == [2, 4, 5, 0, 3, 1])
            }
            // Room for ceil(4 / 3) / 2 = 1 each: token 2 finds all its experts full.
            let tight = Self.decision(context, [[2, 1], [], [2, 0, 1], [0]], of: 3, capacity: 0.5)
            #expect(tight.kept == [true, true, false, false, false, true])
            let plan = local.plan(context, tight)
            #expect(plan.slots == [2, 1, -1, -1, -1, 0] && plan.rowTokens == [3, 0, 0] && plan.expertRows == [1, 1, 1])
        }
    }
}
