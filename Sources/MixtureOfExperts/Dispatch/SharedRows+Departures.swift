import TensorCore

extension SharedRows {
    /// What the place of tokens knows by itself.
    struct Departures {
        var tokens: [Int32] = []
        /// Rows by place and local expert.
        var counts: [[Int]]
        /// The notes of each choice, in the plan's order.
        var notes: [RowNote]
        var ownRows: [Int32]
        /// Gradients that come back, by place and local expert, and where those of choices are.
        var returns: [[Int]]
        var slots: [Int32]

        /// `counts[place][expert]` rows are in the plan's order, choice c's in slots[c]. `hosts` nil: nothing is passed on.
        init(
            _ decision: RoutingDecision, slots: [Int32], counts: [[Int]], placement: ExpertPlacement, place own: Int,
            hosts: PlaceHosts?
        ) {
            let rows = counts.reduce(0) { $0 + $1.reduce(0, +) }
            precondition(rows <= RowNote.mostRows, "a token group has at most \(RowNote.mostRows) choices")
            var choices = [Int](repeating: 0, count: rows)
            for (choice, slot) in slots.enumerated() where slot >= 0 { choices[Int(slot)] = choice }
            self.counts = counts.map { $0.map { _ in 0 } }
            returns = self.counts
            notes = [RowNote](repeating: RowNote(), count: rows)
            ownRows = [Int32](repeating: -1, count: slots.count)
            self.slots = ownRows
            tokens.reserveCapacity(rows)
            let isAdded = noteSums(decision, slots, counts, placement, own, hosts)
            var entries = Entries(decision, slots, placement, own, hosts)
            // The last row that travels of each token.
            var travelling = [Int](repeating: -1, count: decision.tokens), row = 0, returned: Int32 = 0
            for (place, experts) in counts.enumerated() {
                let first = tokens.count
                for (expert, count) in experts.enumerated() {
                    for _ in 0..<count {
                        let choice = choices[row], token = Int(decision.choiceTokens[choice])
                        if !entries.passOn(row, of: token, to: place) {
                            if place == own || travelling[token] < first {
                                travelling[token] = tokens.count
                                tokens.append(Int32(token))
                                self.counts[place][expert] += 1
                                entries.enter(row, of: token, at: place)
                            }
                            notes[row].origin = travelling[token] - first
                            if place == own { ownRows[choice] = Int32(travelling[token]) }
                        }
                        if !isAdded[choice] {
                            self.slots[choice] = returned
                            returned += 1
                            returns[place][expert] += 1
                        }
                        row += 1
                    }
                }
            }
            if let hosts { entries.note(in: &notes, hosts) }
        }

        /// Has the gradients of tokens whose first two choices that were kept are at one other place, or host, added up: notes it at
        /// both, and says of each choice whether its gradient is added to another's. At a place that is the one whose row comes first,
        /// between places the second choice's.
        private mutating func noteSums(
            _ decision: RoutingDecision, _ slots: [Int32], _ counts: [[Int]], _ placement: ExpertPlacement, _ own: Int,
            _ hosts: PlaceHosts?
        ) -> [Bool] {
            func place(_ choice: Int) -> Int { placement.placeOfExpert[Int(decision.experts[choice])] }
            var begins: [Int32] = [], begin: Int32 = 0
            for experts in counts {
                begins.append(begin)
                begin += Int32(experts.reduce(0, +))
            }
            var isAdded = [Bool](repeating: false, count: slots.count)
            var given: [(row: Int, to: Int, from: (place: Int, other: Int))] = []
            for token in 0..<decision.tokens {
                let choices = decision.choices(ofToken: token)
                guard let a = choices.first(where: { slots[$0] >= 0 }),
                    let b = choices[(a + 1)...].first(where: { slots[$0] >= 0 })
                else { continue }
                let places = (place(a), place(b))
                if places.0 == places.1 {
                    guard places.0 != own else { continue }
                    let (first, last) = slots[a] < slots[b] ? (a, b) : (b, a)
                    isAdded[first] = true
                    notes[Int(slots[last])].added = Int(slots[first] - begins[places.0])
                } else if let hosts, hosts.areTogether(places.0, places.1), !hosts.areTogether(places.0, own) {
                    isAdded[b] = true
                    given.append((row: Int(slots[b]), to: Int(slots[a]), from: (places.1, places.0)))
                }
            }
            guard let hosts else { return isAdded }
            // Counted in the order of the rows at the place that gives them.
            var numbers = PairNumbers(places: counts.count)
            for sum in given.sorted(by: { $0.row < $1.row }) {
                notes[sum.row].givenTo = hosts.localNumber[sum.from.other]
                notes[sum.to].added = numbers.next(from: sum.from.place, to: sum.from.other)
                notes[sum.to].addedFrom = hosts.localNumber[sum.from.place]
            }
            return isAdded
        }
    }

    /// Numbers what each place passes on to each other, from 0.
    private struct PairNumbers {
        private let places: Int
        private var counts: [Int]

        init(places: Int) {
            self.places = places
            counts = [Int](repeating: 0, count: places * places)
        }

        mutating func next(from place: Int, to other: Int) -> Int {
            defer { counts[place * places + other] += 1 }
            return counts[place * places + other]
        }
    }

    /// By which place a token's row comes to each other host, and which places it is passed on to there.
    private struct Entries {
        private let hosts: PlaceHosts?
        /// The place of the token's first choice on each other host, [token][host]; −1: it has none there, or that is this host.
        private var places: [Int32] = []
        /// The row that enters there.
        private var rows: [Int32] = []
        /// Rows that are passed on, with the token's host.
        private var passed: [(row: Int, entry: Int, place: Int)] = []

        init(
            _ decision: RoutingDecision, _ slots: [Int32], _ placement: ExpertPlacement, _ own: Int, _ hosts: PlaceHosts?
        ) {
            self.hosts = hosts
            guard let hosts else { return }
            let count = hosts.places.count
            places = [Int32](repeating: -1, count: decision.tokens * count)
            rows = places
            for (choice, slot) in slots.enumerated() where slot >= 0 {
                let place = placement.placeOfExpert[Int(decision.experts[choice])]
                let entry = Int(decision.choiceTokens[choice]) * count + hosts.ofPlace[place]
                if places[entry] < 0 && !hosts.areTogether(place, own) { places[entry] = Int32(place) }
            }
        }

        private func entry(of token: Int, _ hosts: PlaceHosts, _ place: Int) -> Int {
            token * hosts.places.count + hosts.ofPlace[place]
        }

        /// Whether a row of a token comes to a place by another one of its host.
        mutating func passOn(_ row: Int, of token: Int, to place: Int) -> Bool {
            guard let hosts else { return false }
            let entry = entry(of: token, hosts, place)
            guard places[entry] >= 0, places[entry] != Int32(place) else { return false }
            passed.append((row, entry, place))
            return true
        }

        /// Takes note that a token's row travels straight to a place.
        mutating func enter(_ row: Int, of token: Int, at place: Int) {
            guard let hosts else { return }
            let entry = entry(of: token, hosts, place)
            if places[entry] == Int32(place) { rows[entry] = Int32(row) }
        }

        /// Notes at each row that is passed on where it comes from, and at the one that it is a copy of where that goes: counted in
        /// the order of the rows that enter.
        func note(in notes: inout [RowNote], _ hosts: PlaceHosts) {
            var numbers = PairNumbers(places: hosts.ofPlace.count), last = (entry: -1, place: -1, number: -1)
            for (row, entry, place) in passed.sorted(by: {
                (rows[$0.entry], $0.place, $0.row) < (rows[$1.entry], $1.place, $1.row)
            }) {
                if (entry, place) != (last.entry, last.place) {
                    last = (entry, place, numbers.next(from: Int(places[entry]), to: place))
                    notes[Int(rows[entry])].passedTo |= 1 << UInt32(hosts.localNumber[place])
                }
                notes[row].origin = last.number
                notes[row].via = hosts.localNumber[Int(places[entry])]
            }
        }
    }
}
