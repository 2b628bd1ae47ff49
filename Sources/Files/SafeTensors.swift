/// The safetensors format: an 8-byte little-endian header length, a JSON header that gives each tensor's type, shape and
/// byte range, then the bytes, which the tensors fill without gap or overlap.
public enum SafeTensors {
    public enum ElementType: String, Sendable {
        case float32 = "F32"
        case int32 = "I32"
        case int64 = "I64"
    }

    public struct Entry: Sendable, Equatable {
        public let name: String
        public let type: ElementType
        public let shape: [Int]
        /// The tensor's bytes within the data after the header.
        public let bytes: Range<Int>
        public var count: Int { shape.reduce(1, *) }
    }

    /// Why a file is not one that can be read.
    public struct FormatError: Error, CustomStringConvertible {
        public let path: String
        public let reason: String
        public var description: String { "\(path): not a sound safetensors file: \(reason)" }
    }

    /// No header is larger: tensor names and shapes take some hundred bytes each.
    static let largestHeader = 100 << 20
}
