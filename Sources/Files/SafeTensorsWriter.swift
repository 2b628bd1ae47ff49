import Foundation

/// Writes a safetensors file of F32 tensors, one after another, without holding them together in memory.
public enum SafeTensorsWriter {
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
        try header(items.map { ($0.name, $0.shape) }, metadata: metadata).withUnsafeBytes(sink)
        for item in items { try sink(UnsafeRawBufferPointer(item.values)) }
    }

    /// What stands before the bytes of F32 tensors of these names and shapes, which follow in this order.
    public static func header(_ tensors: [(name: String, shape: [Int])], metadata: [String: String] = [:]) throws -> Data {
        let names = Set(tensors.map(\.name))
        precondition(names.count == tensors.count && !names.contains("__metadata__"), "tensors must have names of their own")
        var header: [String: Any] = metadata.isEmpty ? [:] : ["__metadata__": metadata]
        var offset = 0
        for (name, shape) in tensors {
            let end = offset + shape.reduce(4, *)
            header[name] = ["dtype": "F32", "shape": shape, "data_offsets": [offset, end]] as [String: Any]
            offset = end
        }
        var json = try JSONSerialization.data(withJSONObject: header, options: [.sortedKeys, .withoutEscapingSlashes])
        // Readers map the data: it begins at a multiple of 8 bytes.
        while json.count % 8 != 0 { json.append(UInt8(ascii: " ")) }
        return withUnsafeBytes(of: UInt64(json.count).littleEndian) { Data($0) } + json
    }
}
