// The operations on arrays and single values: what set-up code, statistics and agreement between ranks want. Data on a
// training step's path uses the buffer forms, which allocate nothing.

extension Communicator {
    /// Copies the root's value to every rank.
    public func broadcast<Element: CommunicableElement>(_ value: Element, root: Int) throws -> Element {
        var value = value
        try withUnsafeMutablePointer(to: &value) {
            try broadcast(UnsafeMutableBufferPointer(start: $0, count: 1), root: root)
        }
        return value
    }

    /// Copies the root's array over every other rank's, which has as many elements.
    public func broadcast<Element: CommunicableElement>(_ array: inout [Element], root: Int) throws {
        try array.withUnsafeMutableBufferPointer { try broadcast($0, root: root) }
    }

    /// Every rank gets the root's array, whose length only the root needs to know; others may pass anything.
    public func broadcast<Element: CommunicableElement>(varying array: [Element], root: Int) throws -> [Element] {
        let count = Int(try broadcast(Int64(array.count), root: root))
        if rank == root {
            var array = array
            try broadcast(&array, root: root)
            return array
        }
        return try [Element](unsafeUninitializedCapacity: count) { buffer, initialized in
            try broadcast(UnsafeMutableBufferPointer(rebasing: buffer[..<count]), root: root)
            initialized = count
        }
    }

    /// Combines the ranks' values.
    public func allReduce<Element: CommunicableElement>(_ value: Element, _ operation: ReductionOperation) throws -> Element {
        var value = value
        try withUnsafeMutablePointer(to: &value) {
            try allReduce(UnsafeMutableBufferPointer(start: $0, count: 1), operation)
        }
        return value
    }

    public func allReduce(_ value: Int, _ operation: ReductionOperation) throws -> Int {
        Int(try allReduce(Int64(value), operation))
    }

    /// Combines the ranks' arrays, which are equally long, element by element.
    public func allReduce<Element: CommunicableElement>(_ array: inout [Element], _ operation: ReductionOperation) throws {
        try array.withUnsafeMutableBufferPointer { try allReduce($0, operation) }
    }

    /// Starts an `allReduce` and returns at once.
    public func startAllReduce<Element: CommunicableElement>(
        _ buffer: UnsafeMutableBufferPointer<Element>, _ operation: ReductionOperation
    ) throws -> any PendingCollective {
        try startAllReduce([buffer], operation, order: .ranks(size), into: buffer)
    }

    /// Combines the ranks' buffers in rank order and leaves each rank its piece, in place. Returns at once.
    public func startReduceScatter<Element: CommunicableElement>(
        _ buffer: UnsafeMutableBufferPointer<Element>, counts: [Int], _ operation: ReductionOperation
    ) throws -> any PendingCollective {
        try startReduceScatter([buffer], counts: counts, operation, order: .ranks(size), into: buffer)
    }

    /// The ranks' values in rank order.
    public func allGather<Element: CommunicableElement>(_ value: Element) throws -> [Element] {
        try allGather([value])
    }

    public func allGather(_ value: Int) throws -> [Int] {
        try allGather(Int64(value)).map(Int.init)
    }

    /// The ranks' arrays, which are equally long, concatenated in rank order.
    public func allGather<Element: CommunicableElement>(_ array: [Element]) throws -> [Element] {
        let total = array.count * size
        return try [Element](unsafeUninitializedCapacity: total) { buffer, initialized in
            let received = UnsafeMutableBufferPointer(rebasing: buffer[..<total])
            try array.withUnsafeBufferPointer { try allGather($0, into: received) }
            initialized = total
        }
    }

    /// The ranks' arrays, whatever their lengths, in rank order.
    public func allGather<Element: CommunicableElement>(varying array: [Element]) throws -> [[Element]] {
        let counts = try allGather(array.count)
        let total = counts.reduce(0, +)
        let all = try [Element](unsafeUninitializedCapacity: total) { buffer, initialized in
            let begin = counts[..<rank].reduce(0, +)
            _ = buffer[begin..<begin + array.count].initialize(from: array)
            try allGather(UnsafeMutableBufferPointer(rebasing: buffer[..<total]), counts: counts)
            initialized = total
        }
        var begin = 0
        return counts.map { count in
            defer { begin += count }
            return Array(all[begin..<begin + count])
        }
    }

    /// The r-th of `size` equal pieces goes to rank r; the result's r-th piece comes from rank r.
    public func allToAll<Element: CommunicableElement>(_ array: [Element]) throws -> [Element] {
        try [Element](unsafeUninitializedCapacity: array.count) { buffer, initialized in
            let received = UnsafeMutableBufferPointer(rebasing: buffer[..<array.count])
            try array.withUnsafeBufferPointer { try allToAll($0, into: received) }
            initialized = array.count
        }
    }
}
