import Collectives

/// What every communicator must do, whichever its backend and however many ranks it has. Every rank of the communicator
/// runs the checks; each looks at the whole of its own result.
public enum CollectiveConformance {
    public typealias Check = (name: String, run: @Sendable (any Communicator) throws -> Void)

    public static let checks: [Check] = [
        ("identity", identity),
        ("barrier", barrier),
        ("broadcast", { try forEachElementType(BroadcastCheck(), $0) }),
        ("allReduce", { try forEachElementType(AllReduceCheck(), $0) }),
        ("reduceScatter", { try forEachElementType(ReduceScatterCheck(), $0) }),
        ("allGather", { try forEachElementType(AllGatherCheck(), $0) }),
        ("allToAll", { try forEachElementType(AllToAllCheck(), $0) }),
        ("row allToAll", { try forEachElementType(RowAllToAllCheck(), $0) }),
        ("values", values),
        ("same bits on every rank", sameBits),
        ("sums in rank order", sumsInRankOrder),
        ("integers wrap", integersWrap),
        ("split", split),
        ("split by key", splitByKey),
        ("duplicate", duplicate),
        ("sums in an order of their own", sumsInGivenOrder),
        ("pending", pending),
        ("pending in another order", pendingInAnotherOrder),
        ("pending while others communicate", pendingWhileOthersCommunicate),
        ("many under way", manyUnderWay),
        ("large buffers", largeBuffers),
    ]

    /// Runs all checks; throws `ConformanceFailure` at the first that fails.
    public static func run(_ communicator: any Communicator) throws {
        for check in checks {
            do {
                try check.run(communicator)
            } catch let failure as ConformanceFailure {
                throw ConformanceFailure("\(check.name), rank \(communicator.rank) of \(communicator.size): \(failure.detail)")
            }
        }
    }

    private static func forEachElementType(_ check: some ElementCheck, _ communicator: any Communicator) throws {
        try check.run(communicator, Float.self)
        try check.run(communicator, Double.self)
        try check.run(communicator, Int32.self)
        try check.run(communicator, Int64.self)
        try check.run(communicator, UInt8.self)
    }
}

/// A communicator that does not do what it must.
public struct ConformanceFailure: Error, CustomStringConvertible {
    public let detail: String
    public init(_ detail: String) { self.detail = detail }
    public var description: String { detail }
}

/// Throws unless `actual` is `expected`.
public func expect<Value: Equatable>(_ actual: Value, _ expected: Value, _ what: @autoclosure () -> String) throws {
    if actual != expected { throw ConformanceFailure("\(what()) must be \(shortened(expected)), but is \(shortened(actual))") }
}

private func shortened(_ value: some Equatable) -> String {
    let text = "\(value)"
    return text.count > 200 ? "\(text.prefix(200))…" : text
}

/// A number type that checks can count in. Values stay below 128, exact in every element type.
typealias CheckedElement = CommunicableElement & Numeric & Comparable

/// A check that is run with every element type.
protocol ElementCheck {
    func run<Element: CheckedElement>(_ communicator: any Communicator, _ type: Element.Type) throws
}

/// What element `index` of the rank's buffer holds: different for different ranks and places.
func pattern<Element: CheckedElement>(_ rank: Int, _ index: Int) -> Element {
    Element(exactly: (rank * 5 + index * 3 + 1) % 13)!
}
