/// Which buffers of the ranks a reduction combines, and in what order: floating-point sums depend on it.
public struct ReductionOrder: Equatable, Sendable {
    /// Buffer `other` is combined into buffer `target`.
    public struct Step: Equatable, Sendable {
        public let target: Int
        public let other: Int

        public init(target: Int, other: Int) {
            self.target = target
            self.other = other
        }
    }

    /// Buffers that each rank contributes. They are numbered in rank order.
    public let counts: [Int]
    public let steps: [Step]
    /// The buffer that has the result after the last step.
    public let result: Int

    public init(counts: [Int], steps: [Step], result: Int) {
        let buffers = counts.reduce(0, +)
        precondition(steps.count == buffers - 1, "each buffer but one is combined into another once")
        precondition(steps.allSatisfy { $0.target != $0.other && max($0.target, $0.other) < buffers } && result < buffers)
        self.counts = counts
        self.steps = steps
        self.result = result
    }

    /// One buffer a rank, from rank 0 on.
    public static func ranks(_ ranks: Int) -> ReductionOrder {
        ReductionOrder(
            counts: Array(repeating: 1, count: ranks), steps: (1..<max(ranks, 1)).map { Step(target: 0, other: $0) }, result: 0)
    }
}
