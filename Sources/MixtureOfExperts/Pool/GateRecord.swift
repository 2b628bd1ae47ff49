import TensorCore

/// What a gate's tokens asked for while training, from which it is decided which experts are to be: integers, so that records of
/// token groups, updates and ranks are added up in any order.
public struct GateRecord: Codable, Equatable, Sendable {
    /// Tokens at the gate, and those of them that no expert took.
    public private(set) var tokens = 0
    public private(set) var unrouted = 0
    /// How often each visible expert was chosen, [V], choices beyond a capacity included.
    public private(set) var chosen: [Int]
    /// The sum of the rows that no expert took, [w], in units of 2⁻²⁴: each token group's is rounded once.
    private var unroutedUnits: [Int]

    private enum CodingKeys: String, CodingKey {
        case tokens, unrouted, chosen
        case unroutedUnits = "unrouted_sum"
    }

    private static let unit = 0x1p-24
    /// Beyond it a sum says no more than its sign: so no run of updates overflows.
    private static let mostOfGroup = 0x1p18

    /// Of no tokens, at a gate that sees `experts` experts and scores rows of `width` numbers.
    public init(experts: Int, width: Int) {
        chosen = [Int](repeating: 0, count: experts)
        unroutedUnits = [Int](repeating: 0, count: width)
    }

    /// Of a window, as sums say.
    public init(tokens: Int, unrouted: Int, chosen: [Int], unroutedSum: [Double]) {
        (self.tokens, self.unrouted, self.chosen) = (tokens, unrouted, chosen)
        unroutedUnits = unroutedSum.map(Self.units)
    }

    /// Of one token group: what the gate decided about `rows` [T, w].
    public init(_ decision: RoutingDecision, rows: Tensor) {
        self.init(experts: decision.visible.count, width: rows.columns)
        tokens = decision.tokens
        for expert in decision.experts { chosen[Int(expert) - decision.visible.lowerBound] += 1 }
        var sum = [Double](repeating: 0, count: rows.columns)
        for token in 0..<decision.tokens where decision.choices(ofToken: token).isEmpty {
            unrouted += 1
            let row = rows.row(token)
            for column in sum.indices { sum[column] += Double(row[column]) }
        }
        unroutedUnits = sum.map(Self.units)
    }

    /// A number that is none counts as 0: its update is one that is skipped.
    private static func units(_ sum: Double) -> Int {
        sum.isNaN ? 0 : Int((min(max(sum, -mostOfGroup), mostOfGroup) / unit).rounded())
    }

    /// The sum of the rows that no expert took, [w].
    public var unroutedSum: [Double] { unroutedUnits.map { Double($0) * Self.unit } }

    /// Whether it may be of a gate that sees `experts` experts and scores rows of `width` numbers.
    public func isOf(experts: Int, width: Int) -> Bool {
        chosen.count == experts && unroutedUnits.count == width && tokens >= unrouted && unrouted >= 0
            && chosen.allSatisfy { (0...tokens).contains($0) }
    }

    public static func += (left: inout GateRecord, right: GateRecord) {
        left.counts = zip(left.counts, right.counts).map { $0 &+ $1 }
    }

    /// All numbers in a fixed order, to be added up with those of other ranks; as many come back.
    public var counts: [Int64] {
        get { ([tokens, unrouted] + chosen + unroutedUnits).map(Int64.init) }
        set {
            precondition(newValue.count == 2 + chosen.count + unroutedUnits.count, "records of one gate have one length")
            let numbers = newValue.map { Int($0) }
            (tokens, unrouted) = (numbers[0], numbers[1])
            chosen = Array(numbers[2..<2 + chosen.count])
            unroutedUnits = Array(numbers[(2 + chosen.count)...])
        }
    }
}
