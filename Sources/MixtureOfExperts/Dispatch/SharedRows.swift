import Collectives
import TensorCore

/// What travels where a token may have several experts at one other place, or on one other host. Its row goes there once, and at the
/// place each of these experts gets a copy; of the gradients that come back for it, the sum of the token's first two choices.
/// Where rows are passed on, the row goes once to the host: to the place of its first choice there, which passes it on to the others;
/// likewise two gradients are added up at the place of the first choice.
///
/// No bit depends on it. A copy is a copy. A token's gradient is the sum of its choices', in their order: of the first two, a + b =
/// b + a may be added up anywhere, and is by itself; any later one is added to what is before it, and must wait for that. Outputs
/// come back one by one: a choice's weighted output is added to the token's row in one rounding, x ← fma(g, y, x), choice after
/// choice, and not to another output; and the gradient of its weight, ⟨dx, y⟩, needs it at the token.
struct SharedRows: Sendable {
    /// The tokens of the rows that leave, by place, then by the first of their experts there: once for each other place, or other
    /// host, and once for each choice at this one.
    let tokens: [Int32]
    /// From there to this place: what comes from others lies by place, then by the first expert; own rows are put where experts want
    /// them.
    let route: RowRoute
    /// What is passed on of it; what comes so lies behind it. nil: nothing is passed on between the places of a host.
    let relay: HostRelay?
    /// The row that has come of which each row of the experts is a copy. Those of own rows mean nothing.
    let origins: [Int32]
    let gradients: Gradients?

    /// How gradients travel, where they are not rounded: a sum of rounded ones is not the rounded sum.
    struct Gradients: Sendable {
        /// Rows among those of `tokens` of the choices at this place, flat as in the decision; −1 for others.
        let ownRows: [Int32]
        /// Where the rows of this place's choices are among those of `tokens`.
        let own: Range<Int>
        /// Gradients that are added to those at another place of the host before they leave; nil: nothing is passed on.
        let relay: HostRelay?
        /// Gradients that leave for other places, by place, then by expert, each a row of the experts or the sum of two, of which the
        /// second may be one that has been passed on: those are counted behind the rows of the experts.
        let sums: [RowKernels.RowSum]
        /// Those back to the tokens.
        let route: RowRoute
        /// Where the gradients of choices are when they are back; −1 where there is none, or another's has it.
        let slots: [Int32]
    }
}

extension SharedRows {
    /// `notes` are those of the experts' rows, of which `runs` are each place's; `sumsGradients`: whether gradients are added up
    /// before they travel. `hosts` nil: nothing is passed on.
    init(
        _ departures: Departures, notes: [RowNote], runs: [[RowRun]], peers: [PartPeers], place: Int, hosts: PlaceHosts?,
        sumsGradients: Bool
    ) {
        let host = hosts.map { $0.places[$0.ofPlace[place]] } ?? [place]
        var copies = Passed(host: host, sources: runs.count), gradients = copies
        var origins = [Int32](repeating: -1, count: notes.count), arriving = runs.map { $0.map { _ in 0 } }, arrived = 0
        var isAdded = [Bool](repeating: false, count: notes.count)
        for (source, runs) in runs.enumerated() where source != place {
            let first = arrived, rows = runs.flatMap(\.rows)
            for (expert, run) in runs.enumerated() {
                for row in run.rows {
                    let note = notes[row]
                    if note.added >= 0 {
                        if note.addedFrom < 0 {
                            isAdded[rows[note.added]] = true
                        } else {
                            gradients.take(note.added, from: note.addedFrom, of: source)
                        }
                    } else if note.givenTo >= 0 {
                        isAdded[row] = true
                        gradients.give(row, to: note.givenTo)
                    }
                    guard note.via < 0 else {
                        copies.take(note.origin, from: note.via, of: source)
                        continue
                    }
                    let origin = first + note.origin
                    origins[row] = Int32(origin)
                    guard origin == arrived else { continue }
                    arrived += 1
                    arriving[source][expert] += 1
                    for target in host.indices where note.passedTo >> target & 1 == 1 { copies.give(origin, to: target) }
                }
            }
        }
        // Where rows from each place of the host, of tokens of each place, begin among all that are taken.
        let copiesBegin = copies.begins, gradientsBegin = gradients.begins
        var sums: [RowKernels.RowSum] = [], leaving = arriving.map { $0.map { _ in 0 } }
        for (source, runs) in runs.enumerated() where source != place {
            let rows = runs.flatMap(\.rows)
            for (expert, run) in runs.enumerated() {
                for row in run.rows {
                    let note = notes[row]
                    if note.via >= 0 { origins[row] = Int32(arrived + copiesBegin[note.via][source] + note.origin) }
                    guard !isAdded[row] else { continue }
                    let second =
                        note.added < 0
                        ? -1
                        : note.addedFrom < 0
                            ? rows[note.added]
                            : notes.count + gradientsBegin[note.addedFrom][source] + note.added
                    sums.append(RowKernels.RowSum(first: Int32(row), second: Int32(second)))
                    leaving[source][expert] += 1
                }
            }
        }
        let sentRuns = RowRun.byPlace(departures.counts)
        tokens = departures.tokens
        route = RowRoute(
            peers, sentRows: tokens.count, sentRuns, receivedRows: arrived, RowRun.byPlace(arriving),
            own: (sentRuns[place], runs[place]))
        relay = hosts == nil ? nil : copies.relay
        self.origins = origins
        let returnedRuns = RowRun.byPlace(departures.returns), returned = departures.returns.reduce(0) { $0 + $1.reduce(0, +) }
        let own = sentRuns[place].reduce(0) { $0 + $1.count }, ownStart = sentRuns[place].first?.row ?? 0
        self.gradients =
            sumsGradients
            ? Gradients(
                ownRows: departures.ownRows, own: ownStart..<ownStart + own, relay: hosts == nil ? nil : gradients.relay,
                sums: sums,
                route: RowRoute(
                    peers, sentRows: returned, returnedRuns, receivedRows: sums.count, RowRun.byPlace(leaving),
                    own: (returnedRuns[place], runs[place])
                ).reversed,
                slots: departures.slots) : nil
    }

    /// Rows that a place passes on, and those that it gets so: by place, and those by the place of their tokens.
    private struct Passed {
        let host: [Int]
        private var given: [[Int32]]
        /// [place of the host][place of the tokens]
        private var taken: [[Int]]

        init(host: [Int], sources: Int) {
            self.host = host
            given = host.map { _ in [] }
            taken = host.map { _ in [Int](repeating: 0, count: sources) }
        }

        mutating func give(_ row: Int, to place: Int) { given[place].append(Int32(row)) }

        mutating func take(_ number: Int, from place: Int, of source: Int) {
            taken[place][source] = max(taken[place][source], number + 1)
        }

        /// [place of the host][place of the tokens], when all are known.
        var begins: [[Int]] {
            var begin = 0
            return taken.map {
                $0.map { count in
                    defer { begin += count }
                    return begin
                }
            }
        }

        var relay: HostRelay { HostRelay(given, taken: taken.map { $0.reduce(0, +) }, host: host) }
    }
}
