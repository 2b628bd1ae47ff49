/// The operations that a rank can be in.
enum WatchedOperation: UInt8, CaseIterable, Codable {
    case barrier, broadcast, allReduce, startAllReduce, startReduceScatter, allGather, allToAll, allToAllRows, split, duplicate

    var name: String { self == .allToAllRows ? "allToAll rows" : "\(self)" }
}

/// Where a rank is among its collectives: the last operation it blocked in, and whether it is still there. One word, so that a
/// rank's watchdog reads it whole while the rank writes it.
struct CollectivePlace: Equatable {
    var operation: WatchedOperation
    /// Which of the rank's communicators.
    var group: Int
    /// The operation's number on that communicator, from 1: ranks meet by it.
    var number: Int
    var isWaiting: Bool

    // From the low end: 1 bit waiting, 7 bits operation, 16 bits communicator, 40 bits number. No operation yet: 0.
    var packed: UInt64 {
        UInt64(isWaiting ? 1 : 0) | UInt64(operation.rawValue) << 1 | UInt64(group & 0xffff) << 8 | UInt64(number) << 24
    }

    init(operation: WatchedOperation, group: Int, number: Int, isWaiting: Bool) {
        self.operation = operation
        self.group = group
        self.number = number
        self.isWaiting = isWaiting
    }

    /// The place in a word of `packed`; nil before the first operation.
    init?(packed: UInt64) {
        guard packed != 0 else { return nil }
        self.init(
            operation: WatchedOperation(rawValue: UInt8(packed >> 1 & 0x7f))!, group: Int(packed >> 8 & 0xffff),
            number: Int(packed >> 24), isWaiting: packed & 1 != 0)
    }
}
