/// Which elements of a matrix dropout keeps: a pure function of key, row and column, computed again in backward instead of
/// being stored. Sixteen random bits decide an element, so that the probability is exact to 1 / 65536.
public struct DropoutMask: Sendable {
    let key: RandomKey
    /// An element whose 16 bits are below this is dropped.
    let threshold: UInt32
    /// What kept elements are multiplied by: 1 / (probability of being kept).
    public let scale: Float

    public init(probability: Float, key: RandomKey) {
        precondition(probability >= 0 && probability < 1, "a dropout probability must be in [0, 1), but is \(probability)")
        self.key = key
        threshold = min(UInt32((probability * 65536).rounded()), 65535)
        scale = 65536 / Float(65536 - threshold)
    }

    /// The same with draws of another key.
    init(_ mask: DropoutMask, key: RandomKey) {
        self.key = key
        threshold = mask.threshold
        scale = mask.scale
    }

    public static let none = DropoutMask(probability: 0, key: RandomKey(seed: 0))

    public var dropsNothing: Bool { threshold == 0 }

    /// The factor (0 or `scale`) of one element of a matrix with `columns` columns.
    @inline(__always)
    public func factor(row: Int, column: Int, columns: Int) -> Float {
        let block = index(row: row, column: column, columns: columns)
        let bits = key.bits(block &+ UInt32(truncatingIfNeeded: column & 15))
        let half = column & 16 == 0 ? bits & 0xFFFF : bits >> 16
        return half < threshold ? 0 : scale
    }

    /// The factors of 32 neighbours; `column` is a multiple of 32.
    @inline(__always)
    func factors(row: Int, column: Int, columns: Int) -> (Vector, Vector) {
        let bits = key.bits16(index(row: row, column: column, columns: columns))
        let limit = SIMD16<UInt32>(repeating: threshold)
        let kept = Vector(repeating: scale)
        let low = kept.replacing(with: 0, where: (bits & 0xFFFF) .< limit)
        let high = kept.replacing(with: 0, where: (bits &>> 16) .< limit)
        return (low, high)
    }

    /// The first of the 16 counters that a block of 32 columns draws from.
    @inline(__always)
    private func index(row: Int, column: Int, columns: Int) -> UInt32 {
        let blocks = (columns + 31) >> 5
        return UInt32(truncatingIfNeeded: (row * blocks + column >> 5) << 4)
    }
}
