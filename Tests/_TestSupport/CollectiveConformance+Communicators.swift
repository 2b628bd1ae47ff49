import Collectives

// Checks of communicators among each other, of operations under way, and of what a reduction promises.

extension CollectiveConformance {
    static func identity(_ communicator: any Communicator) throws {
        guard (0..<communicator.size).contains(communicator.rank) else {
            throw ConformanceFailure("rank must be in 0..<\(communicator.size), but is \(communicator.rank)")
        }
        try expect(try communicator.allGather(communicator.rank), Array(0..<communicator.size), "the ranks in rank order")
    }

    static func barrier(_ communicator: any Communicator) throws {
        for _ in 0..<20 { try communicator.barrier() }
    }

    static func values(_ communicator: any Communicator) throws {
        let (rank, size) = (communicator.rank, communicator.size)
        try expect(try communicator.broadcast(Float(rank) + 0.5, root: size - 1), Float(size) - 0.5, "a value of the root")
        let name = try communicator.broadcast(varying: rank == 0 ? Array("première".utf8) : [], root: 0)
        try expect(name, Array("première".utf8), "an array of the root")
        try expect(try communicator.broadcast(varying: [] as [Float], root: 0), [], "an empty array of the root")
        try expect(try communicator.allReduce(rank, .sum), size * (size - 1) / 2, "the sum of ranks")
        try expect(try communicator.allReduce(Double(-rank), .minimum), Double(1 - size), "the lowest value")
        try expect(
            try communicator.allGather(varying: Array("rank \(rank)".utf8)), (0..<size).map { Array("rank \($0)".utf8) },
            "the ranks' texts")
    }

    /// Sums that rounding makes depend on their order must still be the same on every rank, and every time.
    static func sameBits(_ communicator: any Communicator) throws {
        for count in [3, 5000, 300_001] {
            let mine: [Float] = (0..<count).map { Float(1) / Float(communicator.rank * 7 + $0 % 1013 + 3) }
            var (first, second) = (mine, mine)
            try communicator.allReduce(&first, .sum)
            try communicator.allReduce(&second, .sum)
            try expect(first.map(\.bitPattern), second.map(\.bitPattern), "the same sum again")
            var root = first.map { Int32(bitPattern: $0.bitPattern) }
            try communicator.broadcast(&root, root: 0)
            try expect(first.map { Int32(bitPattern: $0.bitPattern) }, root, "the bits of \(count) sums")
        }
    }

    /// ((a + b) + c) + d in floating point and nothing else, however the elements are shared out.
    static func sumsInRankOrder(_ communicator: any Communicator) throws {
        let (rank, size) = (communicator.rank, communicator.size), count = 1000
        func addend(_ rank: Int, _ index: Int) -> Float { [1, 1e8, -1e8, 3, 0.1][(rank + index) % 5] / Float(index % 7 + 1) }
        let mine = (0..<count).map { addend(rank, $0) }
        let expected = (0..<count).map { index in (1..<size).reduce(addend(0, index)) { $0 + addend($1, index) } }
        var sums = mine
        try communicator.allReduce(&sums, .sum)
        try expect(sums, expected, "the sums")
        sums = mine
        try sums.withUnsafeMutableBufferPointer { try communicator.startAllReduce($0, .sum).wait() }
        try expect(sums, expected, "the started sums")
        // All of it to each rank in turn.
        for owner in 0..<size {
            sums = mine
            try sums.withUnsafeMutableBufferPointer {
                try communicator.startReduceScatter($0, counts: (0..<size).map { $0 == owner ? count : 0 }, .sum).wait()
            }
            try expect(sums, rank == owner ? expected : mine, "the scattered sums")
        }
    }

    /// Rank r contributes r mod 3 buffers, rank 1 always some; the steps go from the last buffer to the first. Into a buffer of its
    /// own, or into one that is contributed.
    static func sumsInGivenOrder(_ communicator: any Communicator) throws {
        let (rank, size) = (communicator.rank, communicator.size), count = 1003
        let counts = (0..<size).map { ($0 + (size == 1 ? 2 : 0)) % 3 }, buffers = counts.reduce(0, +)
        let steps = (1..<buffers).reversed().map { ReductionOrder.Step(target: $0 - 1, other: $0) }
        let order = ReductionOrder(counts: counts, steps: Array(steps), result: 0)
        func value(_ buffer: Int, _ element: Int) -> Float { Float(buffer + 1) / Float(3 + element % 7) }
        let expected = (0..<count).map { element in
            (0..<buffers - 1).reversed().reduce(value(buffers - 1, element)) { value($1, element) + $0 }
        }
        let first = counts[..<rank].reduce(0, +)
        for isScattered in [false, true] {
            for isInPlace in [false, true] {
                let own = (first..<first + counts[rank]).map { buffer in
                    let elements = UnsafeMutableBufferPointer<Float>.allocate(capacity: count)
                    for element in 0..<count { elements[element] = value(buffer, element) }
                    return elements
                }
                let apart = UnsafeMutableBufferPointer<Float>.allocate(capacity: count)
                apart.initialize(repeating: -1)
                defer { (own + [apart]).forEach { $0.deallocate() } }
                let result = isInPlace ? own.last ?? apart : apart
                let pieces = (0..<size).map { count * ($0 + 1) / size - count * $0 / size }
                let pending =
                    isScattered
                    ? try communicator.startReduceScatter(own, counts: pieces, .sum, order: order, into: result)
                    : try communicator.startAllReduce(own, .sum, order: order, into: result)
                try pending.wait()
                let mine = isScattered ? count * rank / size..<count * (rank + 1) / size : 0..<count
                try expect(Array(result[mine]), Array(expected[mine]), "the sums, scattered: \(isScattered)")
            }
        }
    }

    static func integersWrap(_ communicator: any Communicator) throws {
        let size = communicator.size
        try expect(
            try communicator.allReduce(UInt8(200), .sum), UInt8(truncatingIfNeeded: 200 * size), "the sum of \(size) × 200")
    }

    static func split(_ communicator: any Communicator) throws {
        let (rank, size) = (communicator.rank, communicator.size)
        let colors = 3
        let part = try communicator.split(color: rank % colors, key: rank)
        let members = (0..<size).filter { $0 % colors == rank % colors }
        try expect(part.size, members.count, "the size of a part")
        try expect(members[part.rank], rank, "the rank in the whole")
        // Parts do different numbers of operations at the same time; no part waits for another.
        for _ in 0...rank % colors {
            try expect(try part.allReduce(rank, .sum), members.reduce(0, +), "the sum of a part")
            try expect(try part.allGather(rank), members, "the members of a part")
        }
        let received = try part.allToAll(members.map { Int32(rank * 100 + $0) })
        try expect(received, members.map { Int32($0 * 100 + rank) }, "all-to-all in a part")
        let half = try part.split(color: part.rank % 2, key: 0)
        try expect(
            try half.allGather(rank), members.enumerated().filter { $0.offset % 2 == part.rank % 2 }.map(\.element),
            "the members of a part's part")
        try expect(try communicator.allReduce(1, .sum), size, "the whole after its parts")
    }

    static func splitByKey(_ communicator: any Communicator) throws {
        let (rank, size) = (communicator.rank, communicator.size)
        let reversed = try communicator.split(color: 0, key: -rank)
        try expect(reversed.rank, size - 1 - rank, "the rank in reversed order")
        try expect(try reversed.allGather(rank), (0..<size).reversed(), "the members in reversed order")
        let values = try reversed.broadcast(Int64(rank), root: 0)
        try expect(values, Int64(size - 1), "the first rank in reversed order")
        let equalKeys = try communicator.split(color: 4, key: 7)
        try expect(equalKeys.rank, rank, "the rank where all keys are equal")
    }

    static func duplicate(_ communicator: any Communicator) throws {
        let (rank, size) = (communicator.rank, communicator.size)
        let copy = try communicator.duplicate()
        try expect(copy.rank, rank, "the rank in the copy")
        try expect(copy.size, size, "the size of the copy")
        // Started on one, the other's operations in between: those of one must not meet those of the other.
        var sums = [Float(rank), 1]
        try sums.withUnsafeMutableBufferPointer { sums in
            let pending = try communicator.startAllReduce(sums, .sum)
            for round in 0..<5 {
                try expect(try copy.allReduce(rank * round, .maximum), (size - 1) * round, "round \(round) on the copy")
            }
            try pending.wait()
        }
        try expect(sums, [Float(size * (size - 1) / 2), Float(size)], "the sum on the original")
    }

    static func pending(_ communicator: any Communicator) throws {
        let (rank, size) = (communicator.rank, communicator.size)
        let gradients = try communicator.duplicate()
        let counts = [5, 0, 70_000, 1, 400_000]
        let buffers = counts.map { count in
            let buffer = UnsafeMutableBufferPointer<Float>.allocate(capacity: count)
            for i in 0..<count { buffer[i] = Float((rank + 1) * (i % 31)) }
            return buffer
        }
        defer { buffers.forEach { $0.deallocate() } }
        var pending: [any PendingCollective] = []
        for (index, buffer) in buffers.enumerated() {
            pending.append(try gradients.startAllReduce(buffer, .sum))
            let received = try communicator.allToAll((0..<size).map { Int32(rank * size + $0 + index) })
            try expect(received, (0..<size).map { Int32($0 * size + rank + index) }, "all-to-all beside reductions")
            _ = try pending[0].poll()
        }
        while try !pending[2].poll() {}
        for operation in pending.reversed() { try operation.wait() }
        let total = Float(size * (size + 1) / 2)
        for (buffer, count) in zip(buffers, counts) {
            try expect(Array(buffer), (0..<count).map { total * Float($0 % 31) }, "the sum of \(count)")
        }
    }

    /// A rank that waits must not need its peers to wait for the same: they may be in another operation already.
    static func pendingInAnotherOrder(_ communicator: any Communicator) throws {
        let (rank, size) = (communicator.rank, communicator.size)
        let copy = try communicator.duplicate()
        var sums = [Int64](repeating: Int64(rank), count: 3)
        try sums.withUnsafeMutableBufferPointer { sums in
            let pending = try copy.startAllReduce(sums, .sum)
            if rank == 0 { try pending.wait() }
            try communicator.barrier()
            if rank != 0 { try pending.wait() }
        }
        try expect(sums, Array(repeating: Int64(size * (size - 1) / 2), count: 3), "the sum")
    }

    /// A rank that waits for one operation moves all others along, on whichever communicator: here each rank waits first for
    /// what the next one waits for last, and then blocks elsewhere.
    static func pendingWhileOthersCommunicate(_ communicator: any Communicator) throws {
        let (rank, size) = (communicator.rank, communicator.size), count = 100_000
        let copies = try (0..<size).map { _ in try communicator.duplicate() }
        let buffers = copies.map { _ in UnsafeMutableBufferPointer<Float>.allocate(capacity: count) }
        defer { buffers.forEach { $0.deallocate() } }
        for round in 0..<3 {
            for buffer in buffers { buffer.initialize(repeating: Float(rank + round)) }
            let pending = try zip(copies, buffers).map { try $0.startAllReduce($1, .sum) }
            try pending[rank].wait()
            try expect(try communicator.allReduce(1, .sum), size, "a reduction in between")
            try expect(
                try communicator.allToAll((0..<size).map { Int32($0) }), .init(repeating: Int32(rank), count: size),
                "an all-to-all in between")
            for step in 1..<max(size, 1) {
                try pending[(rank + step) % size].wait()
                try communicator.barrier()
            }
            let sum = (0..<size).reduce(0) { $0 + $1 + round }
            for buffer in buffers { try expect(Array(buffer), .init(repeating: Float(sum), count: count), "the sum") }
        }
    }

    /// Reductions of all sizes on two communicators, begun in one order on all ranks, and waited for in another on each, while
    /// collectives that block go on.
    static func manyUnderWay(_ communicator: any Communicator) throws {
        let (rank, size) = (communicator.rank, communicator.size), copies = [communicator, try communicator.duplicate()]
        let counts = (0..<40).map { [1, 17, 5_003, 40_000, 0][$0 % 5] }
        let buffers = counts.map { UnsafeMutableBufferPointer<Double>.allocate(capacity: $0) }
        defer { buffers.forEach { $0.deallocate() } }
        var pending: [any PendingCollective] = []
        for (index, buffer) in buffers.enumerated() {
            buffer.initialize(repeating: Double(rank * 100 + index))
            pending.append(
                index % 3 == 0
                    ? try copies[index % 2].startReduceScatter(
                        buffer, counts: (0..<size).map { $0 == index % size ? buffer.count : 0 }, .sum)
                    : try copies[index % 2].startAllReduce(buffer, .sum))
            if index % 7 == 0 { try expect(try communicator.allReduce(index, .sum), index * size, "a sum in between") }
        }
        for step in pending.indices { try pending[(step * 7 + rank * 11) % pending.count].wait() }
        for (index, buffer) in buffers.enumerated() where index % 3 != 0 || index % size == rank {
            let sum = (0..<size).reduce(0) { $0 + Double($1 * 100 + index) }
            try expect(Array(buffer), .init(repeating: sum, count: buffer.count), "sum \(index)")
        }
    }

    static func largeBuffers(_ communicator: any Communicator) throws {
        let (rank, size) = (communicator.rank, communicator.size)
        // Not a multiple of any piece, about 3 MB.
        let count = 800_003
        var buffer: [Float] = (0..<count).map { Float((rank + $0) % 101) }
        try communicator.allReduce(&buffer, .sum)
        for index in stride(from: 0, to: count, by: 997) + [count - 1] {
            let sum = (0..<size).reduce(0) { $0 + ($1 + index) % 101 }
            try expect(buffer[index], Float(sum), "element \(index) of the sum")
        }
        var bytes = (0..<count).map { UInt8(truncatingIfNeeded: rank + $0) }
        try communicator.broadcast(&bytes, root: size - 1)
        try expect(bytes, (0..<count).map { UInt8(truncatingIfNeeded: size - 1 + $0) }, "a large broadcast")

        // 256 KiB a pair, more from higher ranks.
        let width = 512
        let sentRows = (0..<size).map { _ in 128 + rank }
        let receivedRows = (0..<size).map { 128 + $0 }
        let sent = [Float](unsafeUninitializedCapacity: size * (128 + rank) * width) { elements, initialized in
            for i in 0..<elements.count { elements[i] = Float(rank * 1000 + i % 1000) }
            initialized = elements.count
        }
        let total = receivedRows.reduce(0, +) * width
        var received = [Float](repeating: -1, count: total)
        try sent.withUnsafeBufferPointer { sent in
            try received.withUnsafeMutableBufferPointer {
                try communicator.allToAll(
                    rowWidth: width, sent, sentRows: sentRows, into: $0, receivedRows: receivedRows)
            }
        }
        var place = 0
        for source in 0..<size {
            let begin = rank * (128 + source) * width
            for i in 0..<receivedRows[source] * width {
                let expected = Float(source * 1000 + (begin + i) % 1000)
                if received[place] != expected { try expect(received[place], expected, "element \(i) from rank \(source)") }
                place += 1
            }
        }
    }
}
