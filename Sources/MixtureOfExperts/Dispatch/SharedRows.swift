import Collectives
import TensorCore

/// What travels where a token may have several experts at one other place. Its row goes there once, and at the place each of these
/// experts gets a copy; of the gradients that come back for it, the sum of the token's first two choices.
///
/// No bit depends on it. A copy is a copy. A token's gradient is the sum of its choices', in their order: of the first two, a + b =
/// b + a may be added up anywhere, and is by itself; any later one is added to what is before it, and must wait for that. Outputs
/// come back one by one: a choice's weighted output is added to the token's row in one rounding, x ← fma(g, y, x), choice after
/// choice, and not to another output; and the gradient of its weight, ⟨dx, y⟩, needs it at the token.
struct SharedRows: Sendable {
    /// The tokens of the rows that leave, by place, then by the first of their experts there: once for each other place, and once for
    /// each choice at this one.
    let tokens: [Int32]
    /// From there to this place: what comes from others lies by place, then by the first expert; own rows are put where experts want
    /// them.
    let route: RowRoute
    /// The row that has come of which each row of the experts is a copy. Those of own rows mean nothing.
    let origins: [Int32]
    let gradients: Gradients?

    /// How gradients travel, where they are not rounded: a sum of rounded ones is not the rounded sum.
    struct Gradients: Sendable {
        /// Rows among those of `tokens` of the choices at this place, flat as in the decision; −1 for others.
        let ownRows: [Int32]
        /// Where the rows of this place's choices are among those of `tokens`.
        let own: Range<Int>
        /// Gradients that leave for other places, by place, then by expert, each a row of the experts or the sum of two.
        let sums: [RowKernels.RowSum]
        /// Those back to the tokens.
        let route: RowRoute
        /// Where the gradients of choices are when they are back; −1 where there is none, or another's has it.
        let slots: [Int32]
    }
}

extension SharedRows {
    /// What places tell each other of each choice's row, two numbers: which of the rows that travel there it is a copy of, and the
    /// row of an expert (both counted from the first between the two places) whose gradient is added to its own.
    static let columns = 2

    /// What a place knows by itself.
    struct Departures {
        var tokens: [Int32] = []
        /// Rows by place and local expert.
        var counts: [[Int]]
        /// The notes of each choice, in the plan's order [rows, columns].
        var notes: [SIMD2<Int32>]
        var ownRows: [Int32]
        /// Gradients that come back, by place and local expert, and where those of choices are.
        var returns: [[Int]]
        var slots: [Int32]

        /// `counts[place][expert]` rows are in the plan's order, choice c's in slots[c].
        init(_ decision: RoutingDecision, slots: [Int32], counts: [[Int]], placement: ExpertPlacement, place own: Int) {
            let rows = counts.reduce(0) { $0 + $1.reduce(0, +) }
            var choices = [Int](repeating: 0, count: rows)
            for (choice, slot) in slots.enumerated() where slot >= 0 { choices[Int(slot)] = choice }
            let added = Self.added(decision, slots, placement, own)
            self.counts = counts.map { $0.map { _ in 0 } }
            returns = self.counts
            notes = [SIMD2<Int32>](repeating: SIMD2(-1, -1), count: rows)
            ownRows = [Int32](repeating: -1, count: slots.count)
            self.slots = ownRows
            tokens.reserveCapacity(rows)
            // The last row that travels of each token.
            var travelling = [Int](repeating: -1, count: decision.tokens), row = 0, returned: Int32 = 0
            for (place, experts) in counts.enumerated() {
                let first = (row: row, travelling: tokens.count)
                for (expert, count) in experts.enumerated() {
                    for _ in 0..<count {
                        let choice = choices[row], token = Int(decision.choiceTokens[choice])
                        if place == own || travelling[token] < first.travelling {
                            travelling[token] = tokens.count
                            tokens.append(Int32(token))
                            self.counts[place][expert] += 1
                        }
                        notes[row][0] = Int32(travelling[token] - first.travelling)
                        if place == own { ownRows[choice] = Int32(travelling[token]) }
                        if added.to[choice] >= 0 { notes[row][1] = added.to[choice] - Int32(first.row) }
                        if !added.isAdded[choice] {
                            self.slots[choice] = returned
                            returned += 1
                            returns[place][expert] += 1
                        }
                        row += 1
                    }
                }
            }
        }

        /// Of tokens whose first two choices that were kept are at one other place: whether a choice is the one whose row comes first
        /// there, and which row, in the plan's order, is added to a choice's; −1: none.
        private static func added(
            _ decision: RoutingDecision, _ slots: [Int32], _ placement: ExpertPlacement, _ own: Int
        ) -> (isAdded: [Bool], to: [Int32]) {
            func place(_ choice: Int) -> Int { placement.placeOfExpert[Int(decision.experts[choice])] }
            var isAdded = [Bool](repeating: false, count: slots.count), to = [Int32](repeating: -1, count: slots.count)
            for token in 0..<decision.tokens {
                let choices = decision.choices(ofToken: token)
                guard let a = choices.first(where: { slots[$0] >= 0 }),
                    let b = choices[(a + 1)...].first(where: { slots[$0] >= 0 }), place(a) == place(b), place(a) != own
                else { continue }
                let (first, last) = slots[a] < slots[b] ? (a, b) : (b, a)
                isAdded[first] = true
                to[last] = slots[first]
            }
            return (isAdded, to)
        }
    }

    /// `notes` are those of the experts' rows, [rows, columns], of which `runs` are each place's; `sumsGradients`: whether
    /// gradients are added up before they travel.
    init(_ departures: Departures, notes: [SIMD2<Int32>], runs: [[RowRun]], peers: [PartPeers], place: Int, sumsGradients: Bool)
    {
        var origins = [Int32](repeating: -1, count: notes.count), arriving = runs.map { $0.map { _ in 0 } }, arrived = 0
        var sums: [RowKernels.RowSum] = [], leaving = arriving, isAdded = [Bool](repeating: false, count: notes.count)
        for (source, runs) in runs.enumerated() where source != place {
            let first = arrived, rows = runs.flatMap(\.rows)
            for row in rows where notes[row][1] >= 0 { isAdded[rows[Int(notes[row][1])]] = true }
            for (expert, run) in runs.enumerated() {
                for row in run.rows {
                    let origin = first + Int(notes[row][0])
                    origins[row] = Int32(origin)
                    if origin == arrived {
                        arrived += 1
                        arriving[source][expert] += 1
                    }
                    guard !isAdded[row] else { continue }
                    let other = notes[row][1]
                    sums.append(
                        RowKernels.RowSum(first: Int32(row), second: other < 0 ? -1 : Int32(rows[Int(other)])))
                    leaving[source][expert] += 1
                }
            }
        }
        let sentRuns = RowRun.byPlace(departures.counts)
        tokens = departures.tokens
        route = RowRoute(
            peers, sentRows: tokens.count, sentRuns, receivedRows: arrived, RowRun.byPlace(arriving),
            own: (sentRuns[place], runs[place]))
        self.origins = origins
        let returnedRuns = RowRun.byPlace(departures.returns), returned = departures.returns.reduce(0) { $0 + $1.reduce(0, +) }
        let own = sentRuns[place].reduce(0) { $0 + $1.count }, ownStart = sentRuns[place].first?.row ?? 0
        gradients =
            sumsGradients
            ? Gradients(
                ownRows: departures.ownRows, own: ownStart..<ownStart + own, sums: sums,
                route: RowRoute(
                    peers, sentRows: returned, returnedRuns, receivedRows: sums.count, RowRun.byPlace(leaving),
                    own: (returnedRuns[place], runs[place])
                ).reversed,
                slots: departures.slots) : nil
    }
}
