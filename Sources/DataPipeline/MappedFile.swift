import Foundation

/// A file's content, mapped read-only: the operating system pages it in and out.
final class MappedFile: Sendable {
    // Read-only from the mapping on.
    nonisolated(unsafe) let bytes: UnsafeRawBufferPointer

    init(path: String) throws {
        let descriptor = open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { throw Self.failure(path, "opening") }
        defer { close(descriptor) }
        var status = stat()
        guard fstat(descriptor, &status) == 0 else { throw Self.failure(path, "examining") }
        let size = Int(status.st_size)
        guard size > 0 else {
            bytes = UnsafeRawBufferPointer(start: nil, count: 0)
            return
        }
        guard let address = mmap(nil, size, PROT_READ, MAP_SHARED, descriptor, 0), address != MAP_FAILED else {
            throw Self.failure(path, "mapping")
        }
        bytes = UnsafeRawBufferPointer(start: address, count: size)
    }

    deinit {
        if let base = bytes.baseAddress { munmap(UnsafeMutableRawPointer(mutating: base), bytes.count) }
    }

    private static func failure(_ path: String, _ operation: String) -> DataError {
        DataError(.inputOutput, "\(path): must be a readable file, but \(operation) it failed: \(lastSystemError())")
    }
}
