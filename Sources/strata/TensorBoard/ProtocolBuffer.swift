/// A message of protocol buffers, written field by field.
struct ProtocolBuffer {
    private(set) var bytes: [UInt8] = []

    /// - Precondition: not negative.
    mutating func integer(_ field: Int, _ value: Int) {
        key(field, wireType: 0)
        variable(UInt64(value))
    }

    mutating func double(_ field: Int, _ value: Double) {
        key(field, wireType: 1)
        fixed(value.bitPattern)
    }

    mutating func float(_ field: Int, _ value: Float) {
        key(field, wireType: 5)
        fixed(value.bitPattern)
    }

    mutating func text(_ field: Int, _ value: String) { length(field, Array(value.utf8)) }

    /// Packed.
    mutating func doubles(_ field: Int, _ values: [Double]) {
        var packed = ProtocolBuffer()
        for value in values { packed.fixed(value.bitPattern) }
        length(field, packed.bytes)
    }

    mutating func message(_ field: Int, _ body: (inout ProtocolBuffer) -> Void) {
        var inner = ProtocolBuffer()
        body(&inner)
        length(field, inner.bytes)
    }

    private mutating func length(_ field: Int, _ content: [UInt8]) {
        key(field, wireType: 2)
        variable(UInt64(content.count))
        bytes += content
    }

    private mutating func key(_ field: Int, wireType: UInt64) { variable(UInt64(field) << 3 | wireType) }

    /// Seven bits a byte, the lowest first; the eighth says that more follow.
    private mutating func variable(_ value: UInt64) {
        var rest = value
        while rest >= 0x80 {
            bytes.append(UInt8(rest & 0x7F | 0x80))
            rest >>= 7
        }
        bytes.append(UInt8(rest))
    }

    private mutating func fixed(_ value: some FixedWidthInteger) {
        withUnsafeBytes(of: value.littleEndian) { bytes += $0 }
    }
}
