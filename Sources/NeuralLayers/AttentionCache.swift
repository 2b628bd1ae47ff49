import TensorCore

/// Keys and values that an attention keeps for the rows of later steps, in numbered slots of 2 d floats. A slot never moves:
/// what a row sees is a list of slots, and nothing is copied when hypotheses change places.
public final class AttentionCache {
    private let context: ComputeContext
    private let dim: Int
    private var blocks: [Tensor] = []
    private static let slotsPerBlock = 256

    public init(_ context: ComputeContext, dim: Int) {
        self.context = context
        self.dim = dim
    }

    /// Slot `slots[r]` ← columns `column ..< column + 2 d` of row r of `rows`: its key and its value.
    func store(_ rows: Tensor, from column: Int, in slots: [Int32]) {
        precondition(slots.count == rows.rows && column + 2 * dim <= rows.columns)
        for (row, slot) in slots.enumerated() {
            address(slot, growing: true).update(from: rows.row(row) + column, count: 2 * dim)
        }
    }

    /// The keys that each row sees, for the kernel.
    func entries(_ seen: SeenSlots) -> CachedAttentionKernel.Entries {
        CachedAttentionKernel.Entries(
            offsets: seen.offsets, rows: seen.slots.map { UnsafePointer(address($0, growing: false)) }, valueOffset: dim)
    }

    private func address(_ slot: Int32, growing: Bool) -> UnsafeMutablePointer<Float> {
        let block = Int(slot) / Self.slotsPerBlock
        while growing && block >= blocks.count { blocks.append(context.uninitialized(Self.slotsPerBlock, 2 * dim)) }
        return blocks[block].row(Int(slot) % Self.slotsPerBlock)
    }
}

/// The slots that each row of a step sees, in the order of positions: row r has `slots[offsets[r] ..< offsets[r + 1]]`.
public struct SeenSlots: Sendable {
    public private(set) var offsets: [Int] = [0]
    public private(set) var slots: [Int32] = []

    public init() {}

    /// The next row: what `row` of `before` saw, if it continues one, and `slot`.
    public mutating func append(row: Int?, of before: SeenSlots, then slot: Int32) {
        if let row { slots.append(contentsOf: before[row]) }
        slots.append(slot)
        offsets.append(slots.count)
    }

    public subscript(row: Int) -> ArraySlice<Int32> { slots[offsets[row]..<offsets[row + 1]] }
}
