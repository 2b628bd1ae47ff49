import Collectives

// Checks that every operation passes with every element type, sizes of zero included.

struct BroadcastCheck: ElementCheck {
    func run<Element: CheckedElement>(_ communicator: any Communicator, _ type: Element.Type) throws {
        for root in 0..<communicator.size {
            for count in [0, 1, 17] {
                var buffer: [Element] = (0..<count).map { pattern(communicator.rank, $0) }
                try communicator.broadcast(&buffer, root: root)
                try expect(buffer, (0..<count).map { pattern(root, $0) }, "\(type), \(count) elements from \(root)")
            }
        }
    }
}

struct AllReduceCheck: ElementCheck {
    func run<Element: CheckedElement>(_ communicator: any Communicator, _ type: Element.Type) throws {
        let ranks = 0..<communicator.size
        for count in [0, 1, 17] {
            let mine: [Element] = (0..<count).map { pattern(communicator.rank, $0) }
            for (operation, combine) in [
                (ReductionOperation.sum, { $0 + $1 }), (.maximum, { max($0, $1) }), (.minimum, { min($0, $1) }),
            ] as [(ReductionOperation, (Element, Element) -> Element)] {
                let expected: [Element] = (0..<count).map { index in
                    ranks.dropFirst().reduce(pattern(0, index)) { combine($0, pattern($1, index)) }
                }
                var buffer = mine
                try communicator.allReduce(&buffer, operation)
                try expect(buffer, expected, "\(operation) of \(count) \(type)")
                buffer = mine
                try buffer.withUnsafeMutableBufferPointer {
                    let pending = try communicator.startAllReduce($0, operation)
                    try pending.wait()
                    try expect(try pending.poll(), true, "poll after wait")
                }
                try expect(buffer, expected, "started \(operation) of \(count) \(type)")
            }
        }
    }
}

struct ReduceScatterCheck: ElementCheck {
    func run<Element: CheckedElement>(_ communicator: any Communicator, _ type: Element.Type) throws {
        let (rank, ranks) = (communicator.rank, 0..<communicator.size)
        for (what, counts) in [
            ("uneven", ranks.map { $0 * 7 % 5 + 1 }), ("some empty", ranks.map { $0 % 2 * 17 }),
            ("one owner", ranks.map { $0 == ranks.count - 1 ? 23 : 0 }), ("nothing", ranks.map { _ in 0 }),
        ] {
            let mine: [Element] = (0..<counts.reduce(0, +)).map { pattern(rank, $0) }
            let begin = counts[..<rank].reduce(0, +), own = begin..<begin + counts[rank]
            for (operation, combine) in [
                (ReductionOperation.sum, { $0 + $1 }), (.maximum, { max($0, $1) }), (.minimum, { min($0, $1) }),
            ] as [(ReductionOperation, (Element, Element) -> Element)] {
                let expected = mine.indices.map { index in
                    own.contains(index)
                        ? ranks.dropFirst().reduce(pattern(0, index)) { combine($0, pattern($1, index)) } : mine[index]
                }
                var buffer = mine
                try buffer.withUnsafeMutableBufferPointer {
                    let pending = try communicator.startReduceScatter($0, counts: counts, operation)
                    try pending.wait()
                    try expect(try pending.poll(), true, "poll after wait")
                }
                try expect(buffer, expected, "\(operation) of \(what) \(type)")
            }
        }
    }
}

struct AllGatherCheck: ElementCheck {
    func run<Element: CheckedElement>(_ communicator: any Communicator, _ type: Element.Type) throws {
        let ranks = 0..<communicator.size
        for count in [0, 1, 17] {
            let gathered = try communicator.allGather((0..<count).map { pattern(communicator.rank, $0) } as [Element])
            let expected: [Element] = ranks.flatMap { rank in (0..<count).map { pattern(rank, $0) } }
            try expect(gathered, expected, "\(count) \(type)")
        }
        // Every third rank has nothing.
        func count(_ rank: Int) -> Int { rank % 3 * 7 }
        let varying = try communicator.allGather(
            varying: (0..<count(communicator.rank)).map { pattern(communicator.rank, $0) } as [Element])
        try expect(varying, ranks.map { rank in (0..<count(rank)).map { pattern(rank, $0) } }, "varying \(type)")
        let nothing = try communicator.allGather(varying: [] as [Element])
        try expect(nothing, ranks.map { _ in [] }, "nothing of \(type)")
        // In place.
        let counts = ranks.map(count), begin = counts[..<communicator.rank].reduce(0, +)
        var whole = [Element](repeating: 99, count: counts.reduce(0, +))
        for index in 0..<counts[communicator.rank] { whole[begin + index] = pattern(communicator.rank, index) }
        try whole.withUnsafeMutableBufferPointer { try communicator.allGather($0, counts: counts) }
        try expect(whole, ranks.flatMap { rank in (0..<count(rank)).map { pattern(rank, $0) } }, "\(type) in place")
    }
}

struct AllToAllCheck: ElementCheck {
    func run<Element: CheckedElement>(_ communicator: any Communicator, _ type: Element.Type) throws {
        let (rank, size) = (communicator.rank, communicator.size)
        for count in [0, 1, 17] {
            // Piece `to` of rank `from` is known by both.
            func piece(_ from: Int, _ to: Int) -> [Element] { (0..<count).map { pattern(from * 8 + to, $0) } }
            let received = try communicator.allToAll((0..<size).flatMap { piece(rank, $0) })
            try expect(received, (0..<size).flatMap { piece($0, rank) }, "pieces of \(count) \(type)")
        }
    }
}

struct RowAllToAllCheck: ElementCheck {
    func run<Element: CheckedElement>(_ communicator: any Communicator, _ type: Element.Type) throws {
        for (what, rows) in [
            ("uneven", { from, to in (from * 3 + to * 5) % 4 }),
            ("none", { _, _ in 0 }),
            ("one receiver", { from, to in to == 0 ? from + 1 : 0 }),
            ("one sender", { from, to in from == 0 ? to + 1 : 0 }),
            ("to itself", { from, to in from == to ? 3 : 0 }),
            ("to others", { from, to in from == to ? 0 : 2 }),
        ] as [(String, (Int, Int) -> Int)] {
            for width in [1, 5, 0] {
                try run(communicator, type, width: width, rows, "\(what), \(width) \(type) a row")
            }
        }
    }

    private func run<Element: CheckedElement>(
        _ communicator: any Communicator, _ type: Element.Type, width: Int, _ rows: (Int, Int) -> Int, _ what: String
    ) throws {
        let (rank, ranks) = (communicator.rank, 0..<communicator.size)
        func elements(_ from: Int, _ to: Int) -> [Element] { (0..<rows(from, to) * width).map { pattern(from * 8 + to, $0) } }
        let sentRows = ranks.map { rows(rank, $0) }
        let receivedRows = try communicator.allToAll(counts: sentRows)
        try expect(receivedRows, ranks.map { rows($0, rank) }, "counts, \(what)")

        let sent = ranks.flatMap { elements(rank, $0) }
        let expected = ranks.flatMap { elements($0, rank) }
        // Buffers may be longer than their rows; what lies beyond is left alone.
        var received = [Element](repeating: 99, count: expected.count + 2)
        try sent.withUnsafeBufferPointer { sent in
            try received.withUnsafeMutableBufferPointer {
                try communicator.allToAll(
                    rowWidth: width, sent, sentRows: sentRows, into: $0, receivedRows: receivedRows)
            }
        }
        try expect(received, expected + [99, 99], what)
    }
}
