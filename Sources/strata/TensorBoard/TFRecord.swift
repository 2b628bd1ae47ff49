/// One record of a TFRecord file: the length, its check, the content, its check; little-endian.
enum TFRecord {
    static func framed(_ content: [UInt8]) -> [UInt8] {
        let length = littleEndian(UInt64(content.count))
        return length + littleEndian(CRC32C.masked(length)) + content + littleEndian(CRC32C.masked(content))
    }

    private static func littleEndian(_ value: some FixedWidthInteger) -> [UInt8] {
        withUnsafeBytes(of: value.littleEndian) { Array($0) }
    }
}
