import TensorCore

extension DispatchPlan {
    /// Rows that experts should get at a time, on average: with fewer, products would cost more than they hide.
    static let fewestRowsAtATime = 32

    /// Sends the rows of `there` to the experts, has `compute` make of rows that have arrived what `back` brings, and sends that, without
    /// waiting for its arrival. Rows of others are computed as they arrive, and sent back at once; those of this rank while others
    /// travel. No row's result depends on when it is computed, or with which.
    func pass(_ there: RowTransit, _ back: RowTransit, compute: ([ExpertRows]) throws -> Void) throws {
        let pieces = own.count + arrivals.reduce(0) { $0 + $1.count }
        guard there.movesWhileComputing, pieces > 0, rowsReceived >= Self.fewestRowsAtATime * pieces else {
            _ = try there.complete()
            try compute(ExpertRows.all(expertRows))
            for _ in parts { try back.sendNext() }
            return back.moveOwn()
        }
        for _ in parts { try there.sendNext() }
        there.moveOwn()
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
}
