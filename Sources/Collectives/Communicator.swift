/// How elements from different ranks are combined by a reduction.
public enum ReductionOperation: Sendable {
    case sum, maximum, minimum
}

/// A number that collectives can reduce and exchange.
public enum ElementType: Sendable, Equatable {
    case float32, float64, int32, int64, uint8
}

/// A type whose values collectives can reduce and exchange.
public protocol CommunicableElement: BitwiseCopyable, Sendable {
    static var elementType: ElementType { get }
}

extension Float: CommunicableElement { public static var elementType: ElementType { .float32 } }
extension Double: CommunicableElement { public static var elementType: ElementType { .float64 } }
extension Int32: CommunicableElement { public static var elementType: ElementType { .int32 } }
extension Int64: CommunicableElement { public static var elementType: ElementType { .int64 } }
extension UInt8: CommunicableElement { public static var elementType: ElementType { .uint8 } }

/// A collective that is under way. Buffers given to it must stay untouched until it has completed.
///
/// It advances while any of its ranks polls it or waits, for this or for another operation. Over MPI nothing moves in between.
public protocol PendingCollective: AnyObject {
    /// Drives progress without blocking; true once complete. Poll it between pieces of computation.
    func poll() throws -> Bool
    /// Blocks until complete.
    func wait() throws
}

/// An ordered group of ranks and the collective operations among them, named as in the MPI standard's chapter on collectives.
///
/// Every rank of the group calls the same operations in the same order, each from one thread at a time: that which made the
/// communicator, or where messages move while a rank computes also others. Two backends conform: ranks as threads of one process,
/// and MPI. Results are deterministic: reductions combine in rank order, 0 first, or in the order that they are given, so that the
/// same inputs on the same number of ranks give the same bits on both.
///
/// Every operation throws `CollectiveError` if a peer has failed or disagrees on sizes.
public protocol Communicator: AnyObject {
    /// The position of this process in the group, 0 ..< size.
    var rank: Int { get }
    /// The number of ranks in the group.
    var size: Int { get }
    /// Whether what is under way moves while this rank computes, and not only when it polls or waits.
    var movesWhileComputing: Bool { get }

    func barrier() throws

    /// Copies the root's buffer into every other rank's.
    func broadcast<Element: CommunicableElement>(_ buffer: UnsafeMutableBufferPointer<Element>, root: Int) throws

    /// Combines the ranks' buffers element by element, in place on every rank.
    func allReduce<Element: CommunicableElement>(
        _ buffer: UnsafeMutableBufferPointer<Element>, _ operation: ReductionOperation) throws

    /// Starts to combine buffers of all ranks element by element, into `result` on every rank, and returns at once. A rank
    /// contributes as many buffers as `order` says, which is the same on all ranks; they are as long as `result`, which may be
    /// one of them, and may be overwritten.
    func startAllReduce<Element: CommunicableElement>(
        _ contributions: [UnsafeMutableBufferPointer<Element>], _ operation: ReductionOperation, order: ReductionOrder,
        into result: UnsafeMutableBufferPointer<Element>
    ) throws -> any PendingCollective

    /// As `startAllReduce`, to the bit, but leaves rank r the r-th of consecutive pieces of the result alone, of `counts[r]`
    /// elements, in its place. The rest of `result` is of no use then if it was contributed, and else as it was.
    func startReduceScatter<Element: CommunicableElement>(
        _ contributions: [UnsafeMutableBufferPointer<Element>], counts: [Int], _ operation: ReductionOperation,
        order: ReductionOrder, into result: UnsafeMutableBufferPointer<Element>
    ) throws -> any PendingCollective

    /// Concatenates equally sized contributions in rank order; `received.count == sent.count * size`.
    func allGather<Element: CommunicableElement>(
        _ sent: UnsafeBufferPointer<Element>, into received: UnsafeMutableBufferPointer<Element>) throws

    /// Brings the r-th of consecutive pieces, of `counts[r]` elements, from rank r to all others, in place.
    func allGather<Element: CommunicableElement>(_ buffer: UnsafeMutableBufferPointer<Element>, counts: [Int]) throws

    /// Sends the r-th of `size` equal pieces to rank r; receives rank r's as the r-th piece.
    func allToAll<Element: CommunicableElement>(
        _ sent: UnsafeBufferPointer<Element>, into received: UnsafeMutableBufferPointer<Element>) throws

    /// Starts to send and receive runs of rows of `rowWidth` elements, each from and to its own place, and returns at once: nothing
    /// has been sent by then. Of each part, of which all ranks have as many, the runs that a rank sends a peer and those that the peer
    /// receives from it match in order: they must be as many and as long, runs of no rows aside. So rows can be put where they are
    /// needed on arrival, without a pass of their own.
    func startAllToAll<Element: CommunicableElement>(
        rowWidth: Int, _ sent: UnsafeBufferPointer<Element>, into received: UnsafeMutableBufferPointer<Element>,
        parts: [RowPart]
    ) throws -> any RowExchange

    /// A new group for each color, its ranks ordered by `key`, then by rank here.
    func split(color: Int, key: Int) throws -> any Communicator

    /// A new communicator over the same ranks, whose operations match separately from this one's.
    func duplicate() throws -> any Communicator
}

/// What went wrong in a collective operation.
public enum CollectiveError: Error, Equatable, CustomStringConvertible {
    /// A peer ended or failed while this rank waited for it.
    case peerFailed(operation: String, rank: Int, peer: Int?, reason: String)
    /// Ranks disagree on what they exchange.
    case mismatch(operation: String, rank: Int, detail: String)
    /// The message-passing library reported an error.
    case transport(operation: String, rank: Int, detail: String)

    public var description: String {
        switch self {
        case let .peerFailed(operation, rank, peer, reason):
            let who = peer.map { "rank \($0)" } ?? "a peer"
            return "\(operation) on rank \(rank): \(who) has failed: \(reason)"
        case let .mismatch(operation, rank, detail):
            return "\(operation) on rank \(rank): ranks disagree: \(detail)"
        case let .transport(operation, rank, detail):
            return "\(operation) on rank \(rank): \(detail)"
        }
    }
}
