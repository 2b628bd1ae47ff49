/// Runs of a row exchange that travel together: what a rank sends of a part its peers receive as the same part.
public struct RowPart: Equatable, Sendable {
    public let sentRuns: [RowRun]
    public let receivedRuns: [RowRun]

    public init(sentRuns: [RowRun], receivedRuns: [RowRun]) {
        self.sentRuns = sentRuns
        self.receivedRuns = receivedRuns
    }
}

/// An exchange of rows that is under way, part by part: the rows of a part can be read once it has arrived, and those of a part that
/// has not been sent yet may still be written. All else of the buffers must stay untouched until the exchange has completed.
public protocol RowExchange: AnyObject {
    /// Sends this rank's rows of the next part. A collective operation of its own, but one that does not block.
    func sendNext() throws
    /// Whether the rows of a part that this rank has sent have arrived, without blocking.
    func hasArrived(_ part: Int) throws -> Bool
    /// Blocks until the rows of a part that this rank has sent have arrived.
    func wait(for part: Int) throws
    /// Blocks until all parts, of which each has been sent, have arrived, and this rank's rows are out of its buffer.
    func finish() throws
}
