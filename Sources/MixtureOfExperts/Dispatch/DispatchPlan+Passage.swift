import TensorCore

extension DispatchPlan {
    /// Rows that experts should get at a time, on average: with fewer, products would cost more than they hide.
    public static let fewestRowsAtATime = 32

    /// Sends the rows of `there` to the experts, has `compute` make of rows that have arrived what `back` brings, and sends that,
    /// without waiting for its arrival. Rows of others are computed as they arrive, and sent back at once; those of this rank while
    /// others travel. No row's result depends on when it is computed, or with which.
    func pass(
        _ context: ComputeContext, _ there: RowTransit, _ back: RowTransit, compute: ([ExpertRows]) throws -> Void
    ) throws {
        let pieces = own.count + arrivals.reduce(0) { $0 + $1.count }
        guard there.arrivesInParts, pieces > 0, rowsReceived >= Self.fewestRowsAtATime * pieces else {
            try there.send()
            try context.handOver()
            try there.end()
            try compute(ExpertRows.all(expertRows))
            return try back.send()
        }
        try there.send()
        try context.handOver()
        var own = own[...]
        for (part, arrived) in arrivals.enumerated() {
            while try !there.hasArrived(part), let next = own.popFirst() { try compute([next]) }
            try there.wait(for: part)
            try compute(arrived)
            try back.sendNext()
        }
        try compute(Array(own))
        back.moveOwn()
        try there.end()
    }

    /// From dx, the gradient of what a weighted sum was added to, the gradients of the outputs as they leave for their experts,
    /// those of this place's weighted and those of others to be weighted there; and the choices' dweights.
    public func outputGradients(
        _ context: ComputeContext, _ sum: RowKernels.WeightedSum, dx: Tensor, outputs: Tensor
    ) -> (rows: Tensor, dweights: [Float]) {
        guard let shared, let gradients = shared.gradients else {
            let rows = context.uninitialized(rowsSent, dx.columns)
            return (rows, RowKernels.weightedSumBackward(context, sum, dx: dx, outputs: outputs, into: rows))
        }
        let rows = context.uninitialized(shared.tokens.count, dx.columns)
        for others in [0..<gradients.own.lowerBound, gradients.own.upperBound..<rows.rows] {
            RowKernels.gather(context, dx, shared.tokens[others].map { sum.tokens[Int($0)] }, into: rows.rows(others))
        }
        let dweights = RowKernels.weightedSumBackward(
            context, sum, dx: dx, outputs: outputs, into: rows, at: gradients.ownRows)
        return (rows, dweights)
    }
}
