import Autograd
import Collectives
import TensorCore
import Testing
import _TestSupport

@testable import MixtureOfExperts

/// Rows that are computed as they arrive.
@Suite struct DispatchPassageTests {
    /// The plan of a decision of the best expert or two for `tokens` tokens, and their rows.
    private static func routed(
        _ dispatcher: any TokenDispatcher, _ context: ComputeContext, tokens: Int, seed: UInt64
    ) throws -> (plan: DispatchPlan, rows: Tensor) {
        let placement = dispatcher.placement
        var configuration = MixtureConfiguration(strata: placement.strata, methods: [BestChoice()])
        (configuration.topK, configuration.capacityFactor) = (2, nil)
        let logits = context.tensor(
            normalValues(tokens * placement.experts, seed: seed), rows: tokens, columns: placement.experts)
        let site = GateSite(name: "gate", configuration: configuration, stratum: 0, dim: 1)
        let decision = StratifiedRouter(site).route(
            context, logits: logits, rows: (0..<tokens).map { Int32($0) }, key: RandomKey(seed: 1), isTraining: true)
        let plan = try dispatcher.plan(context, decision)
        return (plan, context.tensor(normalValues(tokens * 3, seed: seed + 1), rows: tokens, columns: 3))
    }

    /// Every row is computed once, after it has arrived; with enough rows those of a rank and those of others apart, and with few
    /// all at once. Both bring back the same.
    @Test(arguments: [2, 3, 4, 5], WireFormat.allCases) func rowsAreComputedAsTheyArrive(ranks: Int, wire: WireFormat) throws {
        _ = try SimulatedCluster.run(ranks: ranks) { communicator in
            let context = ComputeContext(threads: 1)
            for tokens in [7, 0, 1500] {
                let dispatcher = makeTokenDispatcher(communicator: communicator, strata: [ranks, ranks + 1], wire: wire)
                let own = communicator.rank == 1 ? tokens / 2 : tokens
                let (plan, rows) = try Self.routed(dispatcher, context, tokens: own, seed: UInt64(communicator.rank))
                let there = try dispatcher.toExperts(context, context.gathered(rows, plan.tokens), plan)
                let outputs = context.zeros(plan.rowsReceived, 3)
                let back = try dispatcher.toTokens(context, outputs, plan)
                var visits = [Int](repeating: 0, count: plan.rowsReceived), calls = 0
                try plan.pass(context, there, back) { parts in
                    calls += 1
                    for part in parts {
                        let experts = ExpertRows.all(plan.expertRows)[part.expert]
                        #expect(experts.rows.clamped(to: part.rows) == part.rows, "rows of that expert")
                        for row in part.rows {
                            visits[row] += 1
                            for column in 0..<3 { outputs[row, column] = 2 * there.rows[row, column] }
                        }
                    }
                }
                #expect(visits.allSatisfy { $0 == 1 })
                #expect(tokens == 1500 ? calls > plan.route.parts.count && calls > 2 : calls == 1)
                let choices = context.gathered(rows, plan.rowTokens), expected = context.zeros(choices.rows, 3)
                if wire == .bfloat16 {
                    BFloat16Rows.round(context, choices, into: expected)
                } else {
                    expected.copy(from: choices)
                }
                #expect(try back.end().elements == expected.elements.map { 2 * $0 })
            }
        }
    }

    /// To the bit: what a rank alone makes of a token group, and of its gradients.
    @Test(arguments: [2, 4], [1, 2, 3]) func aBlockDoesTheSameOnAnyRanks(ranks: Int, topK: Int) throws {
        var configuration = MixtureConfiguration(strata: [4, 5], methods: [BestChoice()])
        (configuration.topK, configuration.capacityFactor) = (topK, nil)
        let shared = configuration
        @Sendable func train(_ communicator: any Communicator, group: Int) throws -> TinyBlock.Result {
            let tiny = try TinyBlock(shared, group: communicator, dropout: 0.2, threads: 2)
            let x = tiny.tokens(1000, seed: UInt64(100 + group)), dy = tiny.tokens(1000, seed: UInt64(200 + group))
            return try tiny.train(x, doutput: dy, lossScale: 0.3, key: RandomKey(seed: 7).derived(group))
        }
        let alone = try alone { communicator in
            try (0..<ranks).map { group in
                let result = try train(communicator, group: group)
                return (result.output, result.dx)
            }
        }
        _ = try SimulatedCluster.run(ranks: ranks) { communicator in
            let result = try train(communicator, group: communicator.rank)
            #expect(result.output == alone[communicator.rank].0)
            #expect(result.dx == alone[communicator.rank].1)
        }
    }
}
