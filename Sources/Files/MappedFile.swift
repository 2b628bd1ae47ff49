import Foundation

/// A file's content, mapped read-only: the operating system pages it in and out.
public final class MappedFile: Sendable {
    // Read-only from the mapping on.
    public nonisolated(unsafe) let bytes: UnsafeRawBufferPointer

    /// - Throws: `FileError`.
    public init(path: String) throws {
        let (descriptor, size) = try FileReader.open(path)
        defer { close(descriptor) }
        guard size > 0 else {
            bytes = UnsafeRawBufferPointer(start: nil, count: 0)
            return
        }
        guard let address = mmap(nil, size, PROT_READ, MAP_SHARED, descriptor, 0), address != MAP_FAILED else {
            throw FileError(path: path, while: "mapping")
        }
        bytes = UnsafeRawBufferPointer(start: address, count: size)
    }

    deinit {
        if let base = bytes.baseAddress { munmap(UnsafeMutableRawPointer(mutating: base), bytes.count) }
    }
}
