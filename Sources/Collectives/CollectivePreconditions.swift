// What a caller owes an operation, held the same way by every backend.

extension Communicator {
    package func requireRoot(_ root: Int) {
        precondition(0 <= root && root < size, "broadcast: root must be in 0..<\(size), but is \(root)")
    }

    package func requireGathered(_ sent: Int, into received: Int) {
        precondition(
            received == sent * size, "allGather: received.count must be \(sent) × \(size) ranks, but is \(received)")
    }

    package func requirePieces(_ operation: String, of buffer: Int, counts: [Int]) {
        precondition(counts.count == size, "\(operation): must be one count a rank (\(size)), but is \(counts.count)")
        precondition(counts.allSatisfy { $0 >= 0 }, "\(operation): counts must be at least 0, but are \(counts)")
        let total = counts.reduce(0, +)
        precondition(buffer == total, "\(operation): buffer.count must be \(total), but is \(buffer)")
    }

    package func requireContributions(_ operation: String, _ counts: [Int], of result: Int, _ order: ReductionOrder) {
        precondition(
            order.counts.count == size, "\(operation): order must be of \(size) ranks, but is of \(order.counts.count)")
        precondition(
            counts.count == order.counts[rank] && counts.allSatisfy { $0 == result },
            "\(operation): contributions must be \(order.counts[rank]) of \(result) elements, but are \(counts)")
    }

    package func requireEqualPieces(_ sent: Int, into received: Int) {
        precondition(sent % size == 0, "allToAll: sent.count must be a multiple of \(size) ranks, but is \(sent)")
        precondition(received == sent, "allToAll: received.count must be \(sent), but is \(received)")
    }

    func requireCounts(sentRows: [Int], receivedRows: [Int]) {
        for (name, rows) in [("sent", sentRows), ("received", receivedRows)] {
            precondition(rows.count == size, "allToAll: \(name)Rows must have \(size) counts, but has \(rows.count)")
        }
    }

    /// Buffers may be longer than their rows: workspaces are.
    package func requireRuns(width: Int, _ sent: Int, into received: Int, _ parts: [RowPart]) {
        precondition(width >= 0, "allToAll: rowWidth must be at least 0, but is \(width)")
        for (name, runs, count) in parts.flatMap({ [("sent", $0.sentRuns, sent), ("received", $0.receivedRuns, received)] }) {
            for run in runs {
                precondition(0 <= run.peer && run.peer < size, "allToAll: \(name)Runs must name ranks, but name \(run.peer)")
                precondition(
                    run.row >= 0 && run.count >= 0 && (run.row + run.count) * width <= count,
                    "allToAll: \(name)Runs must lie within \(count) elements, but one is \(run.count) rows from \(run.row)")
            }
        }
    }
}
