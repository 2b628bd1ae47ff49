import TensorCore

/// What rows are rounded to on their way between tokens and experts, and their gradients on the way back: whether they travel or
/// their expert is on the token's own rank, so that nothing depends on which rank has which expert.
public enum WireFormat: String, CaseIterable, Sendable {
    case float32
    /// Half the bytes.
    case bfloat16

    /// Bytes of a row of `columns` floats.
    public func rowBytes(_ columns: Int) -> Int { rowWidth(columns) * MemoryLayout<Float>.stride }

    /// Floats of memory that a row takes as it is sent.
    func rowWidth(_ columns: Int) -> Int { self == .float32 ? columns : BFloat16Rows.width(columns) }
}
