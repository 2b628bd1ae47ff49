import Foundation

/// The safetensors format: an 8-byte little-endian header length, a JSON header that gives each tensor's type, shape and
/// byte range, then the bytes.
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
        /// Within the data after the header.
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

/// A safetensors file opened for reading, memory-mapped.
public final class SafeTensorsFile {
    public let path: String
    public let metadata: [String: String]
    public let entries: [String: SafeTensors.Entry]
    private let data: Data
    private let dataStart: Int

    /// Throws `SafeTensors.FormatError` if the content is not sound, and Foundation's error if the file cannot be read.
    public init(path: String) throws {
        self.path = path
        data = try Data(contentsOf: URL(fileURLWithPath: path), options: .alwaysMapped)
        func fail(_ reason: String) -> SafeTensors.FormatError { SafeTensors.FormatError(path: path, reason: reason) }
        guard data.count >= 8 else { throw fail("it has \(data.count) bytes, and 8 are needed for the header's length") }
        let length = data.withUnsafeBytes { UInt64(littleEndian: $0.loadUnaligned(as: UInt64.self)) }
        guard length <= UInt64(SafeTensors.largestHeader), Int(length) <= data.count - 8 else {
            throw fail("its header should have \(length) bytes, but the file has \(data.count)")
        }
        dataStart = 8 + Int(length)
        let header = data[8..<dataStart]
        guard let object = try? JSONSerialization.jsonObject(with: header) as? [String: Any] else {
            throw fail("its header is not a JSON object")
        }
        var entries: [String: SafeTensors.Entry] = [:]
        var metadata: [String: String] = [:]
        for (name, value) in object {
            if name == "__metadata__" {
                guard let strings = value as? [String: String] else { throw fail("__metadata__ must map texts to texts") }
                metadata = strings
                continue
            }
            entries[name] = try Self.entry(name, value, available: data.count - dataStart, fail)
        }
        self.entries = entries
        self.metadata = metadata
    }

    private static func entry(
        _ name: String, _ value: Any, available: Int, _ fail: (String) -> SafeTensors.FormatError
    ) throws -> SafeTensors.Entry {
        guard let object = value as? [String: Any], let typeName = object["dtype"] as? String,
            let shape = object["shape"] as? [Int], let range = object["data_offsets"] as? [Int], range.count == 2
        else { throw fail("the entry of \(name) must have dtype, shape and data_offsets") }
        guard let type = SafeTensors.ElementType(rawValue: typeName) else {
            throw fail("\(name) has dtype \(typeName); F32, I32 and I64 can be read")
        }
        guard range[0] >= 0, range[0] <= range[1], range[1] <= available else {
            throw fail("\(name) should lie in bytes \(range[0]) to \(range[1]) of \(available)")
        }
        var bytes = type == .int64 ? 8 : 4
        for extent in shape {
            let (product, overflow) = bytes.multipliedReportingOverflow(by: extent)
            guard extent >= 0, !overflow else { throw fail("\(name) has the impossible shape \(shape)") }
            bytes = product
        }
        guard bytes == range[1] - range[0] else {
            throw fail("\(name) of shape \(shape) needs \(bytes) bytes, but has \(range[1] - range[0])")
        }
        return SafeTensors.Entry(name: name, type: type, shape: shape, bytes: range[0]..<range[1])
    }

    /// The bytes of a tensor, in place; nil if there is none of that name.
    public func withBytes<Result>(_ name: String, _ body: (UnsafeRawBufferPointer) throws -> Result) rethrows -> Result? {
        guard let entry = entries[name] else { return nil }
        return try data.withUnsafeBytes { all in
            try body(UnsafeRawBufferPointer(rebasing: all[dataStart + entry.bytes.lowerBound ..< dataStart + entry.bytes.upperBound]))
        }
    }

    /// The floats of an F32 tensor; nil if there is none of that name and type.
    public func floats(_ name: String) -> [Float]? {
        guard entries[name]?.type == .float32 else { return nil }
        return withBytes(name) { bytes in
            (0 ..< bytes.count / 4).map { bytes.loadUnaligned(fromByteOffset: 4 * $0, as: Float.self) }
        }
    }

    /// The numbers of an I32 tensor; nil if there is none of that name and type.
    public func integers(_ name: String) -> [Int32]? {
        guard entries[name]?.type == .int32 else { return nil }
        return withBytes(name) { bytes in
            (0 ..< bytes.count / 4).map { bytes.loadUnaligned(fromByteOffset: 4 * $0, as: Int32.self) }
        }
    }
}

/// Writes a safetensors file of F32 tensors, one after another, without holding them together in memory.
public struct SafeTensorsWriter {
    /// A tensor to be written, in the order of `write`.
    public struct Item {
        public let name: String
        public let shape: [Int]
        public let values: UnsafeBufferPointer<Float>

        public init(name: String, shape: [Int], values: UnsafeBufferPointer<Float>) {
            precondition(shape.reduce(1, *) == values.count, "\(name): \(values.count) values cannot have shape \(shape)")
            self.name = name
            self.shape = shape
            self.values = values
        }
    }

    /// Passes the file's bytes to `sink` piece after piece.
    public static func write(
        _ items: [Item], metadata: [String: String] = [:], to sink: (UnsafeRawBufferPointer) throws -> Void
    ) throws {
        let names = Set(items.map(\.name))
        precondition(names.count == items.count && !names.contains("__metadata__"), "tensors must have names of their own")
        var header: [String: Any] = metadata.isEmpty ? [:] : ["__metadata__": metadata]
        var offset = 0
        for item in items {
            let end = offset + item.values.count * 4
            header[item.name] = ["dtype": "F32", "shape": item.shape, "data_offsets": [offset, end]] as [String: Any]
            offset = end
        }
        var json = try JSONSerialization.data(withJSONObject: header, options: [.sortedKeys, .withoutEscapingSlashes])
        // Readers map the data: it begins at a multiple of 8 bytes.
        while json.count % 8 != 0 { json.append(UInt8(ascii: " ")) }
        let length = UInt64(json.count).littleEndian
        try withUnsafeBytes(of: length, sink)
        try json.withUnsafeBytes(sink)
        for item in items { try sink(UnsafeRawBufferPointer(item.values)) }
    }
}
