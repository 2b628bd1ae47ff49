import Autograd
import Collectives
import MixtureOfExperts
import TensorCore

/// What moving tokens to their experts and back must do on any communicator. Every rank of it runs the checks; it is one
/// expert-parallel group.
public enum DispatchConformance {
    public static func run(_ communicator: any Communicator) throws {
        let size = communicator.size, half = size % 2 == 0 ? size / 2 : 1
        // In some strata have copies in each part of the places, in others every place has some experts.
        let worlds: [(strata: [Int], partSize: Int, replicated: [Int])] = [
            ([size], size, []), ([size, size + 1], size, []), ([size + 3, size, 2 * size + 1], size, []),
            ([half, size + 1], half, []), ([size + 2, 1], 1, []), ([size, size + 1], size, [0, 2 * size]),
            ([half, size + 1], half, [0, half + size]),
        ]
        // Every place by itself, or hosts of neighbours, of every other one, and of all but the last.
        let hosts = [
            nil, PlaceHosts((0..<size).map { $0 / 2 }), PlaceHosts((0..<size).map { $0 % 2 }),
            PlaceHosts((0..<size).map { $0 / max(1, size - 1) }),
        ].filter { $0?.canPassOn ?? true }
        for ((strata, partSize, replicated), hosts) in worlds.flatMap({ world in hosts.map { (world, $0) } }) {
            for scenario in Scenario.allCases {
                // A single choice has nothing to share.
                for k in hosts == nil ? [1, 2, 3] : [2, 3] {
                    for capacity in [nil, 1] as [Float?] {
                        for order in hosts == nil ? [StrataOrder.stratified, .stacked] : [.stratified] {
                            for stratum in strata.indices {
                                var configuration = MixtureConfiguration(strata: strata, methods: [BestChoice()])
                                (configuration.topK, configuration.capacityFactor) = (k, capacity)
                                configuration[TestOrder.self] = TestOrder(order)
                                let what =
                                    "\(strata), parts of \(partSize), replicated \(replicated), \(order), gate \(stratum), "
                                    + "\(scenario), top \(k), capacity \(capacity.map { "\($0)" } ?? "none"), rank "
                                    + "\(communicator.rank) of \(size), hosts \(hosts?.ofPlace.description ?? "alone")"
                                for wire in WireFormat.allCases {
                                    try Check(
                                        communicator, strata: strata, partSize: partSize, replicated: replicated, wire: wire,
                                        hosts: hosts, what: "\(what), \(wire)"
                                    ).run(
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
        /// nil: rows are not passed on.
        let hosts: PlaceHosts?
        let context = ComputeContext(threads: 1)
        let what: String
        /// Wide enough for what a row says of itself, and neither a round number nor below a vector's.
        let columns = 37

        init(
            _ communicator: any Communicator, strata: [Int], partSize: Int, replicated: [Int], wire: WireFormat,
            hosts: PlaceHosts?, what: String
        ) {
            self.communicator = communicator
            self.what = what
            self.wire = wire
            self.hosts = hosts
            placement = ExpertPlacement(
                strata: strata, places: communicator.size, partSize: partSize, seenFrom: communicator.rank,
                replicated: replicated)
            dispatcher = makeTokenDispatcher(
                communicator: communicator, strata: strata, partSize: partSize, replicated: replicated, wire: wire,
                passingOnWithin: hosts)
        }

        /// Bytes so far: to other ranks, and of those where rows are passed on, to other hosts.
        private var bytes: (sent: Int, between: Int) {
            (dispatcher.bytesSent, (dispatcher as? AllToAllTokenDispatcher)?.bytesBetweenHosts ?? 0)
        }

        /// What `body` sends, and what of it crosses to other hosts.
        private func counted<Value>(_ body: () throws -> Value) rethrows -> (value: Value, sent: Int, between: Int) {
            let before = bytes, value = try body()
            return (value, bytes.sent - before.sent, bytes.between - before.between)
        }

        private func require(_ condition: Bool, _ detail: @autoclosure () -> String) throws {
            if !condition { throw Disagreement("\(what): \(detail())") }
        }

        func run(_ scenario: Scenario, _ gate: GateSite) throws {
            let logits = scenario.logits(context, rank: communicator.rank, experts: gate.visible.count)
            let decision = StratifiedRouter(gate).route(
                context, logits: logits, rows: (0..<logits.rows).map { Int32($0) }, key: RandomKey(seed: 1), isTraining: true)
            let (plan, told, _) = try counted { try dispatcher.plan(context, decision) }
            let whole = try rows(of: decision, plan)
            // What is rounded already travels without loss; what each row says of itself is.
            let departing = wire == .float32 ? whole : rounded(whole)
            let tokens = gathered(departing, plan.tokens)
            let (arrived, sentOut, crossed) = try counted { try dispatcher.toExperts(context, tokens, plan).complete() }
            try checkArrived(arrived, decision, plan)
            let (returned, sentBack, _) = try counted { try dispatcher.toTokens(context, arrived, plan).complete() }
            let expected = gathered(departing, plan.rowTokens).elements
            try require(returned.elements == expected, "there and back must be the identity")
            let travelled = try dispatcher.toExperts(context, gathered(whole, plan.tokens), plan).complete()
            let rounded = try dispatcher.toTokens(context, travelled, plan).complete()
            try require(rounded.elements == expected, "rows must be rounded, to other ranks or to the own")
            try checkConservation(decision, plan, bytes: (told: told, out: sentOut, back: sentBack))
            if hosts != nil {
                let rows = shares(decision) ? unitsElsewhere(plan) : choices(plan, onOtherHosts: true)
                try require(crossed == rows * wire.rowBytes(columns), "\(crossed) bytes to other hosts for \(rows) rows")
            }
            try checkGradients(decision, plan)
        }

        /// What travels less of gradients changes no bit of them, to the experts and to the tokens.
        private func checkGradients(_ decision: RoutingDecision, _ plan: DispatchPlan) throws {
            let tokens = decision.tokens, rank = UInt64(communicator.rank)
            let experts = plan.expertRows.reduce(0, +), weightsOfChoices = normalValues(decision.experts.count, seed: 3 + rank)
            let dx = context.tensor(normalValues(tokens * columns, seed: 5 + rank), rows: tokens, columns: columns)
            let outputs = context.tensor(
                normalValues(plan.rowsSent * columns, seed: 7 + rank), rows: plan.rowsSent, columns: columns)
            let drows = context.tensor(normalValues(experts * columns, seed: 9 + rank), rows: experts, columns: columns)
            for dropout in [0, 0.4] as [Float] {
                let sum = RowKernels.WeightedSum(
                    slots: plan.slots, weights: weightsOfChoices, offsets: decision.offsets,
                    tokens: (0..<tokens).map { Int32($0) }, experts: decision.experts, expertCount: placement.experts,
                    mask: DropoutMask(probability: dropout, key: RandomKey(seed: 11 + rank)))
                let all = context.uninitialized(plan.rowsSent, columns)
                let dweights = RowKernels.weightedSumBackward(context, sum, dx: dx, outputs: outputs, into: all)
                // The outputs' way back, the other way round, brings each choice's row to its expert.
                let expected = try atExperts(wire == .float32 ? all : rounded(all), plan)
                let (rows, made) = plan.outputGradients(context, sum, dx: dx, outputs: outputs)
                let (arrived, sent, crossed) = try counted {
                    try dispatcher.gradientsToExperts(context, rows, plan, weighted: sum).complete()
                }
                try require(made == dweights, "the weights' gradients")
                try require(arrived.elements == expected, "weighted at home or at the experts")
                let saved = sharesGradients(decision), weight = saved ? 4 * RowKernels.weightColumns : 0
                try requireSent(
                    sent, leaving(plan, sharing: saved) * wire.rowBytes(columns) + choicesElsewhere(plan) * weight,
                    "bytes of gradients out")
                if hosts != nil {
                    let choices = choices(plan, onOtherHosts: true)
                    let crossing = (saved ? unitsElsewhere(plan) : choices) * wire.rowBytes(columns) + choices * weight
                    try require(crossed == crossing, "\(crossed) of \(crossing) bytes to other hosts")
                }
            }
            func added(_ rows: Tensor, _ slots: [Int32]) -> [Float] {
                let sums = context.uninitialized(tokens, columns)
                RowKernels.sumChoices(context, rows, slots: slots, offsets: decision.offsets, into: sums)
                return sums.elements
            }
            let each = try dispatcher.toTokens(context, drows, plan).complete()
            let (sums, bytes, crossed) = try counted {
                try dispatcher.gradientsToTokens(context, drows, plan).complete()
            }
            try require(added(sums, plan.gradientSlots) == added(each, plan.slots), "added up at the experts or at home")
            let pairs =
                sharesGradients(decision)
                ? try communicator.allReduce(pairsElsewhere(decision) { $0 == $1 }, .sum) : 0
            let choices = try communicator.allReduce(choicesElsewhere(plan), .sum)
            try require(
                try communicator.allReduce(bytes, .sum) == (choices - pairs) * wire.rowBytes(columns),
                "\(bytes) bytes back, of \(choices) choices and \(pairs) pairs on all ranks")
            guard let hosts else { return }
            let onHosts =
                sharesGradients(decision)
                ? pairsElsewhere(decision) {
                    hosts.ofPlace[$0] == hosts.ofPlace[$1] && hosts.ofPlace[$0] != hosts.ofPlace[communicator.rank]
                } : 0
            let back = try communicator.allReduce(self.choices(plan, onOtherHosts: true) - onHosts, .sum)
            try require(
                try communicator.allReduce(crossed, .sum) == back * wire.rowBytes(columns),
                "\(crossed) bytes back to other hosts, of \(back) rows on all ranks")
        }

        /// Rows of choices, at their experts: sent as they are, to be found by the rank and the row that they are of.
        private func atExperts(_ rows: Tensor, _ plan: DispatchPlan) throws -> [Float] {
            let experts = placement.expertsOfPlace.map(\.count), runs = plan.sentRows
            var elements: [[Float]] = [], row = 0
            for count in runs {
                elements.append((row..<row + count).flatMap { row in (0..<columns).map { rows[row, $0] } })
                row += count
            }
            let all = try (0..<communicator.size).map { target in
                try communicator.allGather(varying: elements[target])
            }[communicator.rank]
            precondition(experts[communicator.rank] == plan.expertRows.count)
            var next = [Int](repeating: 0, count: all.count), ordered: [Float] = []
            for expert in plan.expertRows.indices {
                for source in all.indices {
                    let count = plan.sourceRows[source][expert] * columns
                    ordered += all[source][next[source]..<next[source] + count]
                    next[source] += count
                }
            }
            return ordered
        }

        /// What a rank passes on is of others' tokens, so that there only the world's sum can be told.
        private func requireSent(_ sent: Int, _ expected: Int, _ what: String) throws {
            try require(hosts != nil || sent == expected, "\(sent) of \(expected) \(what)")
            let all = try (communicator.allReduce(sent, .sum), communicator.allReduce(expected, .sum))
            try require(all.0 == all.1, "\(all.0) of \(all.1) \(what) on all ranks")
        }

        private func shares(_ decision: RoutingDecision) -> Bool {
            communicator.size > 1
                && placement.sharesRows(decision.gate.configuration, visible: decision.visible, hosts: hosts)
        }

        private func sharesGradients(_ decision: RoutingDecision) -> Bool { wire == .float32 && shares(decision) }

        private func choicesElsewhere(_ plan: DispatchPlan) -> Int { plan.rowsSent - plan.sentRows[communicator.rank] }

        private func choices(_ plan: DispatchPlan, onOtherHosts: Bool) -> Int {
            guard let hosts else { return 0 }
            return plan.sentRows.enumerated().reduce(0) {
                $0 + ((hosts.ofPlace[$1.offset] != hosts.ofPlace[communicator.rank]) == onOtherHosts ? $1.element : 0)
            }
        }

        /// Rows that cross to other hosts where they are passed on there: one for each that a token wants.
        private func unitsElsewhere(_ plan: DispatchPlan) -> Int {
            guard let hosts else { return 0 }
            var wanted = Set<[Int]>(), row = 0
            for (place, count) in plan.sentRows.enumerated() {
                let host = hosts.ofPlace[place]
                if host != hosts.ofPlace[communicator.rank] {
                    for next in row..<row + count { wanted.insert([host, Int(plan.rowTokens[next])]) }
                }
                row += count
            }
            return wanted.count
        }

        /// Rows that leave this rank: one for each other place that a token wants, or for each choice.
        private func leaving(_ plan: DispatchPlan, sharing: Bool) -> Int {
            guard sharing else { return choicesElsewhere(plan) }
            var wanted = Set<[Int]>(), row = 0
            for (place, count) in plan.sentRows.enumerated() {
                if place != communicator.rank {
                    for next in row..<row + count { wanted.insert([place, Int(plan.rowTokens[next])]) }
                }
                row += count
            }
            return wanted.count
        }

        /// Tokens whose first two kept choices are at other places that are alike.
        private func pairsElsewhere(_ decision: RoutingDecision, areAlike: (Int, Int) -> Bool) -> Int {
            (0..<decision.tokens).count { token in
                let places = decision.choices(ofToken: token).filter { decision.kept[$0] }.prefix(2).map {
                    placement.placeOfExpert[Int(decision.experts[$0])]
                }
                return places.count == 2 && areAlike(places[0], places[1]) && places[0] != communicator.rank
            }
        }

        private func gathered(_ rows: Tensor, _ indices: [Int32]) -> Tensor {
            let gathered = context.uninitialized(indices.count, columns)
            RowKernels.gather(context, rows, indices, into: gathered)
            return gathered
        }

        private func rounded(_ rows: Tensor) -> Tensor {
            let rounded = context.zeros(rows.rows, rows.columns)
            BFloat16Rows.round(context, rows, into: rounded)
            return rounded
        }

        /// Every token's row says whose it is: rank, token.
        private func rows(of decision: RoutingDecision, _ plan: DispatchPlan) throws -> Tensor {
            let rows = context.tensor(
                normalValues(decision.tokens * columns, seed: 9), rows: decision.tokens, columns: columns)
            var seen = [Int](repeating: 0, count: plan.rowsSent)
            for (index, slot) in plan.slots.enumerated() {
                try require((slot >= 0) == decision.kept[index], "choice \(index) has slot \(slot)")
                guard slot >= 0 else { continue }
                let token = decision.choiceTokens[index]
                try require(plan.rowTokens[Int(slot)] == token, "row \(slot) must be of token \(token)")
                seen[Int(slot)] += 1
            }
            try require(seen.allSatisfy { $0 == 1 }, "every row must have one choice")
            for token in 0..<decision.tokens {
                rows[token, 0] = Float(communicator.rank)
                rows[token, 1] = Float(token)
            }
            return rows
        }

        /// Rows stand by expert, within an expert by the rank they come from, and within that by token.
        private func checkArrived(_ arrived: Tensor, _ decision: RoutingDecision, _ plan: DispatchPlan) throws {
            // Each rank's kept choices: token, expert.
            let chosen = try communicator.allGather(
                varying: decision.experts.indices.filter { decision.kept[$0] }.flatMap {
                    [decision.choiceTokens[$0], decision.experts[$0]]
                }
            ).map { list in Set(stride(from: 0, to: list.count, by: 2).map { [list[$0], list[$0 + 1]] }) }
            let experts = placement.expertsOfPlace[communicator.rank]
            try require(plan.expertRows.count == experts.count, "a count for each expert")
            try require(arrived.rows == plan.expertRows.reduce(0, +), "\(arrived.rows) rows arrived")
            var row = 0
            for (expert, count) in zip(experts, plan.expertRows) {
                var last = (rank: -1, token: -1)
                for _ in 0..<count {
                    let source = (rank: Int(arrived[row, 0]), token: Int(arrived[row, 1]))
                    try require(
                        chosen[source.rank].contains([Int32(source.token), Int32(expert)]),
                        "row \(row) is not for expert \(expert)")
                    let isForThis =
                        switch placement.copies[expert] {
                        case .expert: true
                        case .copiedExpert: source.rank / placement.partSize == communicator.rank / placement.partSize
                        case .replicated: source.rank == communicator.rank
                        }
                    try require(isForThis, "row \(row) is for another copy of expert \(expert)")
                    try require(source > last, "row \(row) of expert \(expert) is out of order, or there twice")
                    last = source
                    row += 1
                }
            }
        }

        /// Tokens routed = received = returned; bytes sent = rows for other ranks × bytes of a row: to the experts one for each
        /// token and rank that has experts for it, from the token's rank or passed on, back one for each choice.
        private func checkConservation(
            _ decision: RoutingDecision, _ plan: DispatchPlan, bytes: (told: Int, out: Int, back: Int)
        ) throws {
            let routed = decision.kept.count { $0 }, place = communicator.rank
            try require(plan.rowsSent == routed, "\(plan.rowsSent) rows for \(routed) choices")
            try require(plan.sentRows.reduce(0, +) == routed, "sent \(plan.sentRows)")
            try require(try communicator.allToAll(counts: plan.sentRows) == plan.receivedRows, "peers sent otherwise")
            let (sent, received) = (
                try communicator.allReduce(plan.rowsSent, .sum), try communicator.allReduce(plan.rowsReceived, .sum)
            )
            try require(sent == received, "\(sent) rows were sent, \(received) received")
            let shares = shares(decision), fromOthers = plan.rowsReceived - plan.receivedRows[place]
            let told = shares ? choicesElsewhere(plan) * (hosts == nil ? 8 : 12) : 0
            try require(bytes.told == told, "\(bytes.told) bytes of what is shared")
            try requireSent(bytes.out, leaving(plan, sharing: shares) * wire.rowBytes(columns), "bytes out")
            try require(bytes.back == fromOthers * wire.rowBytes(columns), "\(bytes.back) bytes for \(fromOthers) rows back")
        }
    }
}
