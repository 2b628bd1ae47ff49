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
            executable: BuiltProducts.path("mpi-conformance"), arguments: ["token-dispatch"] + mode, ranks: ranks, timeout: 240)
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

    /// Two ranks, four experts; what travels of rank 0's tokens to experts 2 and 3, which live on place 1.
    @Test func aSharedPlanByHand() throws {
        _ = try SimulatedCluster.run(ranks: 2) { communicator in
            let context = ComputeContext(threads: 1), columns = 5
            let dispatcher = AllToAllTokenDispatcher(
                communicator: communicator, placement: ExpertPlacement(strata: [4], places: 2))
            // Token 0 wants both, token 1 expert 3 and one here, token 2 both, but first one here; token 3 both of those here.
            let choices = communicator.rank == 0 ? [[3, 2], [3, 0], [0, 2, 3], [1, 0]] : []
            let plan = try dispatcher.plan(context, Self.decision(context, choices, of: 4))
            guard communicator.rank == 0 else {
                // Expert 2 gets tokens 0 and 2, expert 3 tokens 0, 1 and 2.
                #expect(plan.expertRows == [2, 3])
                _ = try dispatcher.toExperts(context, context.zeros(0, columns), plan).complete()
                _ = try dispatcher.gradientsToTokens(context, context.tensor([1, 2, 4, 8, 16], rows: 5, columns: 1), plan)
                    .complete()
                return
            }
            #expect(plan.rowTokens == [1, 2, 3, 3, 0, 2, 0, 1, 2] && plan.tokens == [1, 2, 3, 3, 0, 2, 1])
            // Five choices are told of, two numbers each; three rows leave.
            #expect(dispatcher.bytesSent == 5 * 8)
            _ = try dispatcher.toExperts(context, context.zeros(7, columns), plan).complete()
            #expect(dispatcher.bytesSent == 5 * 8 + 3 * columns * 4)
            // Token 0's two are added up; token 2's are not: one here comes before them.
            let gradients = try dispatcher.gradientsToTokens(context, context.zeros(4, 1), plan).complete()
            #expect(plan.gradientSlots == [5, -1, 6, 0, 1, 4, 7, 3, 2])
            #expect(gradients.elements == [0, 0, 0, 0, 2, 1 + 4, 8, 16])
        }
    }

    /// Four ranks on two hosts, an expert each; what becomes of rank 0's tokens.
    @Test func aRelayedPlanByHand() throws {
        _ = try SimulatedCluster.run(ranks: 4) { communicator in
            let context = ComputeContext(threads: 1), columns = 5, rank = communicator.rank
            let dispatcher = AllToAllTokenDispatcher(
                communicator: communicator, placement: ExpertPlacement(strata: [4], places: 4),
                passingOnWithin: PlaceHosts(["a", "a", "b", "b"]))
            let plan = try dispatcher.plan(
                context, Self.decision(context, rank == 0 ? [[3, 2], [2, 1], [0, 3]] : [], of: 4))
            let told = dispatcher.bytesSent
            let rows = context.zeros(plan.tokens.count, columns)
            for (row, token) in plan.tokens.enumerated() { rows.rows(row..<row + 1).fill(Float(token)) }
            let arrived = try dispatcher.toExperts(context, rows, plan).complete()
            #expect((0..<arrived.rows).map { arrived[$0, 0] } == [[2], [1], [0, 1], [0, 2]][rank])
            let drows = context.tensor([[1], [2], [4, 8], [16, 32]][rank], rows: arrived.rows, columns: 1)
            let before = dispatcher.bytesSent
            let gradients = try dispatcher.gradientsToTokens(context, drows, plan).complete()
            switch rank {
            case 0:
                // Token 0's row goes to its first choice's rank, 3, which passes it on to rank 2.
                #expect(plan.rowTokens == [2, 1, 0, 1, 0, 2] && plan.tokens == [2, 1, 1, 0, 2])
                // Of five choices three numbers each are told, of four of them to the other host; three rows of four cross to it.
                #expect(told == 5 * 12 && dispatcher.bytesSent == 5 * 12 + 4 * columns * 4)
                #expect(dispatcher.bytesBetweenHosts == 4 * 12 + 3 * columns * 4)
                // Its gradients come back from rank 3 as one.
                #expect(plan.gradientSlots == [3, -1, 2, 1, 0, 4])
                #expect(gradients.elements == [1, 2, 8, 16 + 4, 32])
            case 2: #expect(before == 0 && dispatcher.bytesSent == 2 * 4 && dispatcher.bytesBetweenHosts == 4)
            case 3: #expect(before == columns * 4 && dispatcher.bytesSent == before + 2 * 4)
            default: #expect(before == 0 && dispatcher.bytesSent == 4)
            }
        }
    }

    @Test func hostsThatCanPassOn() {
        #expect(!PlaceHosts(["a", "a"]).canPassOn && !PlaceHosts(["a", "b", "c"]).canPassOn)
        #expect(PlaceHosts(["a", "b", "a"]).canPassOn && PlaceHosts(["a", "b", "a"]).places == [[0, 2], [1]])
        #expect(!PlaceHosts([0] + [Int](repeating: 1, count: PlaceHosts.mostPlaces + 1)).canPassOn)
    }

    /// Eight ranks of four experts each, two of all of which a token chooses: of its choices' rows on four ways, what crosses and what
    /// does not because both are at one place, or on one host.
    @Test(arguments: [(2, 4, 1, 16 / 32.0, 15 / 31.0), (4, 2, 1.5, 24 / 32.0, 7 / 31.0)])
    func relaySavesWhatIsShared(hosts: Int, ranks: Int, choices: Double, elsewhere: Double, together: Double) {
        let placement = ExpertPlacement(strata: [32], places: 8), places = PlaceHosts((0..<8).map { $0 / ranks })
        var configuration = MixtureConfiguration(strata: [32], methods: [BestChoice()])
        func expected(ways: Double) -> Double {
            1 - (4 * choices - ways * elsewhere * together) / (4 * choices - ways * elsewhere * 3 / 31)
        }
        #expect(abs(placement.savedByRelay(places, configuration, wire: .float32) - expected(ways: 3)) < 1e-12)
        #expect(abs(placement.savedByRelay(places, configuration, wire: .bfloat16) - expected(ways: 1)) < 1e-12)
        configuration.topK = 1
        #expect(placement.savedByRelay(places, configuration, wire: .float32) == 0)
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
