import Collectives
import MixtureOfExperts
import TensorCore

/// What moving tokens to their experts and back must do on any communicator. Every rank of it runs the checks; it is one
/// expert-parallel group.
public enum DispatchConformance {
    public static func run(_ communicator: any Communicator) throws {
        let size = communicator.size
        for strata in [[size], [size, size + 1], [size + 3, size, 2 * size + 1]] {
            for scenario in Scenario.allCases {
                for k in [1, 2, 3] {
                    for capacity in [nil, 1] as [Float?] {
                        for order in [StrataOrder.stratified, .stacked] {
                            for stratum in strata.indices {
                                var configuration = MixtureConfiguration(strata: strata, methods: [BestChoice()])
                                (configuration.topK, configuration.capacityFactor) = (k, capacity)
                                configuration[TestOrder.self] = TestOrder(order)
                                let what =
                                    "\(strata), \(order), gate \(stratum), \(scenario), top \(k), capacity "
                                    + "\(capacity.map { "\($0)" } ?? "none"), rank \(communicator.rank) of \(size)"
                                for wire in WireFormat.allCases {
                                    try Check(communicator, strata: strata, wire: wire, what: "\(what), \(wire)").run(
                                        scenario,
                                        GateSite(name: "gate", configuration: configuration, stratum: stratum, dim: 1))
                                }
                            }
                        }
                    }
                }
            }
        }
    }

    enum Scenario: CaseIterable {
        case uneven
        /// Every second rank has no tokens.
        case zeroTokensOnSomeRanks
        case zeroTokensEverywhere
        case oneTokenInTheWorld
        /// All first choices go to one expert.
        case oneHotExpert
        /// Only the first and the last expert have rows.
        case expertsWithoutRows

        func tokens(rank: Int) -> Int {
            switch self {
            case .uneven, .oneHotExpert, .expertsWithoutRows: 9 + 5 * rank
            case .zeroTokensOnSomeRanks: rank % 2 == 0 ? 0 : 7
            case .zeroTokensEverywhere: 0
            case .oneTokenInTheWorld: rank == 0 ? 1 : 0
            }
        }

        func logits(_ context: ComputeContext, rank: Int, experts: Int) -> Tensor {
            let tokens = tokens(rank: rank)
            let logits = context.tensor(
                normalValues(tokens * experts, seed: UInt64(rank + 1)), rows: tokens, columns: experts)
            for token in 0..<tokens {
                switch self {
                case .oneHotExpert: logits[token, experts / 2] += 20
                case .expertsWithoutRows:
                    logits[token, 0] += 40
                    logits[token, experts - 1] += 40
                default: break
                }
            }
            return logits
        }
    }

    private struct Check {
        let communicator: any Communicator
        let placement: ExpertPlacement
        let dispatcher: any TokenDispatcher
        let wire: WireFormat
        let context = ComputeContext(threads: 1)
        let what: String
        /// Wide enough for what a row says of itself, and not a round number.
        let columns = 7

        init(_ communicator: any Communicator, strata: [Int], wire: WireFormat, what: String) {
            self.communicator = communicator
            self.what = what
            self.wire = wire
            placement = ExpertPlacement(strata: strata, places: communicator.size)
            dispatcher = makeTokenDispatcher(communicator: communicator, strata: strata, wire: wire)
        }

        private func require(_ condition: Bool, _ detail: @autoclosure () -> String) throws {
            if !condition { throw Disagreement("\(what): \(detail())") }
        }

        func run(_ scenario: Scenario, _ gate: GateSite) throws {
            let logits = scenario.logits(context, rank: communicator.rank, experts: gate.visible.count)
            let decision = StratifiedRouter(gate).route(
                context, logits: logits, rows: (0..<logits.rows).map { Int32($0) }, key: RandomKey(seed: 1), isTraining: true)
            let plan = try dispatcher.plan(context, decision)
            try require(dispatcher.bytesSent == 0, "counts are not rows")
            let whole = try rows(of: decision, plan)
            // What is rounded already travels without loss; what each row says of itself is.
            let departing = wire == .float32 ? whole : rounded(whole)
            let arrived = try dispatcher.toExperts(context, departing, plan).complete()
            let sentOut = dispatcher.bytesSent
            try checkArrived(arrived, plan)
            let returned = try dispatcher.toTokens(context, arrived, plan).complete()
            let sentBack = dispatcher.bytesSent - sentOut
            try require(returned.elements == departing.elements, "there and back must be the identity")
            let travelled = try dispatcher.toExperts(context, whole, plan).complete()
            let rounded = try dispatcher.toTokens(context, travelled, plan).complete()
            try require(rounded.elements == departing.elements, "rows must be rounded, to other ranks or to the own")
            try checkConservation(decision, plan, bytes: (out: sentOut, back: sentBack))
        }

        private func rounded(_ rows: Tensor) -> Tensor {
            let rounded = context.zeros(rows.rows, rows.columns)
            BFloat16Rows.round(context, rows, into: rounded)
            return rounded
        }

        /// Every routed row says whose it is: rank, token, choice, expert.
        private func rows(of decision: RoutingDecision, _ plan: DispatchPlan) throws -> Tensor {
            let rows = context.tensor(
                normalValues(plan.rowsSent * columns, seed: 9), rows: plan.rowsSent, columns: columns)
            var seen = [Int](repeating: 0, count: plan.rowsSent)
            for (index, slot) in plan.slots.enumerated() {
                try require((slot >= 0) == decision.kept[index], "choice \(index) has slot \(slot)")
                guard slot >= 0 else { continue }
                let token = Int(decision.choiceTokens[index])
                try require(plan.rowTokens[Int(slot)] == Int32(token), "row \(slot) must be of token \(token)")
                seen[Int(slot)] += 1
                rows[Int(slot), 0] = Float(communicator.rank)
                rows[Int(slot), 1] = Float(token)
                rows[Int(slot), 2] = Float(index - Int(decision.offsets[token]))
                rows[Int(slot), 3] = Float(decision.experts[index])
            }
            try require(seen.allSatisfy { $0 == 1 }, "every row must have one choice")
            return rows
        }

        /// Rows stand by expert, within an expert by the rank they come from, and within that by token.
        private func checkArrived(_ arrived: Tensor, _ plan: DispatchPlan) throws {
            let experts = placement.expertsOfPlace[communicator.rank]
            try require(plan.expertRows.count == experts.count, "a count for each expert")
            try require(arrived.rows == plan.expertRows.reduce(0, +), "\(arrived.rows) rows arrived")
            var row = 0
            for (expert, count) in zip(experts, plan.expertRows) {
                var last = (rank: -1, token: -1)
                for _ in 0..<count {
                    try require(Int(arrived[row, 3]) == expert, "row \(row) is for expert \(arrived[row, 3]), not \(expert)")
                    let source = (rank: Int(arrived[row, 0]), token: Int(arrived[row, 1]))
                    if communicator.size > 1 {
                        try require(source.rank >= last.rank, "row \(row) of expert \(expert) is out of order")
                    }
                    last = source
                    row += 1
                }
            }
        }

        /// Tokens routed = received = returned; bytes sent = rows for other ranks × bytes of a row.
        private func checkConservation(
            _ decision: RoutingDecision, _ plan: DispatchPlan, bytes: (out: Int, back: Int)
        ) throws {
            let routed = decision.kept.count { $0 }
            try require(plan.rowsSent == routed, "\(plan.rowsSent) rows for \(routed) choices")
            try require(plan.sentRows.reduce(0, +) == routed, "sent \(plan.sentRows)")
            try require(try communicator.allToAll(counts: plan.sentRows) == plan.receivedRows, "peers sent otherwise")
            let (sent, received) = (
                try communicator.allReduce(plan.rowsSent, .sum), try communicator.allReduce(plan.rowsReceived, .sum)
            )
            try require(sent == received, "\(sent) rows were sent, \(received) received")
            let place = communicator.rank
            let (toOthers, fromOthers) = (routed - plan.sentRows[place], plan.rowsReceived - plan.receivedRows[place])
            try require(bytes.out == toOthers * wire.rowBytes(columns), "\(bytes.out) bytes for \(toOthers) rows out")
            try require(bytes.back == fromOthers * wire.rowBytes(columns), "\(bytes.back) bytes for \(fromOthers) rows back")
        }
    }
}
