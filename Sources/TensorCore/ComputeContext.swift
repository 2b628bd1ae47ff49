/// What an operation computes with: a worker pool and the memory for its results. Each rank has one.
public final class ComputeContext {
    public let pool: WorkerPool
    public let allocator: TensorAllocator
    public let clock = PhaseClock()
    /// The work that takes turns on this rank, while there is any.
    public var turns: Turns?

    public init(threads: Int = 1) {
        pool = WorkerPool(threads: threads)
        allocator = TensorAllocator()
    }

    /// To be called where this rank is about to wait for its peers: other work of its goes on meanwhile, if there is any.
    ///
    /// - Throws: `Turns.Abandoned`.
    public func handOver() throws {
        guard let turns else { return }
        precondition(!clock.isMeasuring, "what is measured is one piece's")
        try turns.handOver()
    }

    /// A tensor whose elements are not initialised.
    public func uninitialized(_ rows: Int, _ columns: Int) -> Tensor {
        Tensor(storage: allocator.allocate(rows * columns), rows: rows, columns: columns)
    }

    public func zeros(_ rows: Int, _ columns: Int) -> Tensor {
        let tensor = uninitialized(rows, columns)
        let count = tensor.count
        if count > 1 << 18 && pool.threads > 1 {
            // Also spreads the first touch of new pages over the workers.
            let pointer = tensor.pointer
            pool.parallelRanges(count, grain: 1 << 16) { (pointer + $0.lowerBound).update(repeating: 0, count: $0.count) }
        } else {
            tensor.fill(0)
        }
        return tensor
    }

    public func tensor(_ elements: [Float], rows: Int, columns: Int) -> Tensor {
        precondition(elements.count == rows * columns, "\(elements.count) elements cannot be [\(rows), \(columns)]")
        let tensor = uninitialized(rows, columns)
        elements.withUnsafeBufferPointer { source in
            if let base = source.baseAddress { tensor.pointer.update(from: base, count: source.count) }
        }
        return tensor
    }

    public func copy(_ source: Tensor) -> Tensor {
        let tensor = uninitialized(source.rows, source.columns)
        tensor.copy(from: source)
        return tensor
    }
}
