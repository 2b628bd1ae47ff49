import Foundation
import Synchronization

/// A safetensors file opened for reading: the header at once, tensors as they are asked for, so that a file may be larger than
/// memory.
public final class SafeTensorsFile: Sendable {
    public let path: String
    public let metadata: [String: String]
    public let entries: [String: SafeTensors.Entry]
    private let dataStart: Int
    /// The file, if it stays open.
    private let reader: FileReader?

    /// Files that a process keeps open at most: it may open more at once than its limit of descriptors has room for.
    private static let mostOpen = 256
    private static let open = Mutex(0)

    /// `keepingOpen`: tensors can be read even when the file's name is gone, unless the process keeps too many open already.
    ///
    /// - Throws: `SafeTensors.FormatError` if the content is not sound, `FileError` if the file cannot be read.
    public init(path: String, keepingOpen: Bool = false) throws {
        self.path = path
        let file = try FileReader(path: path)
        func fail(_ reason: String) -> SafeTensors.FormatError { SafeTensors.FormatError(path: path, reason: reason) }
        guard file.size >= 8 else { throw fail("it has \(file.size) bytes, and 8 are needed for the header's length") }
        var length = UInt64(0)
        try withUnsafeMutableBytes(of: &length) { try file.read(at: 0, into: $0) }
        length = UInt64(littleEndian: length)
        guard length <= UInt64(SafeTensors.largestHeader), Int(length) <= file.size - 8 else {
            throw fail("its header should have \(length) bytes, but the file has \(file.size)")
        }
        dataStart = 8 + Int(length)
        var header = Data(count: Int(length))
        try header.withUnsafeMutableBytes { try file.read(at: 8, into: $0) }
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
            entries[name] = try Self.entry(name, value, available: file.size - dataStart, fail)
        }
        // A name that stands twice in the header shows as a gap.
        var end = 0
        func place(_ entry: SafeTensors.Entry) -> (Int, Int) { (entry.bytes.lowerBound, entry.bytes.upperBound) }
        for entry in entries.values.sorted(by: { place($0) < place($1) }) {
            guard entry.bytes.lowerBound == end else {
                throw fail("\(entry.name) should begin at byte \(end), but begins at \(entry.bytes.lowerBound)")
            }
            end = entry.bytes.upperBound
        }
        guard end == file.size - dataStart else {
            throw fail("its tensors take \(end) bytes, but \(file.size - dataStart) follow the header")
        }
        self.entries = entries
        self.metadata = metadata
        let isKept =
            keepingOpen
            && Self.open.withLock { count in
                guard count < Self.mostOpen else { return false }
                count += 1
                return true
            }
        reader = isKept ? file : nil
    }

    deinit { if reader != nil { Self.open.withLock { $0 -= 1 } } }

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

    /// Fills `destination` with the bytes of a tensor from `offset` on.
    ///
    /// - Throws: `FileError`, also where the file has become shorter since it was opened.
    public func read(_ entry: SafeTensors.Entry, from offset: Int = 0, into destination: UnsafeMutableRawBufferPointer) throws {
        precondition(offset >= 0 && offset + destination.count <= entry.bytes.count, "\(entry.name): more than its bytes")
        // Else opened for each tensor: ranks read from all shards of all ranks, more than a process may have open.
        try (reader ?? FileReader(path: path)).read(at: dataStart + entry.bytes.lowerBound + offset, into: destination)
    }
}
