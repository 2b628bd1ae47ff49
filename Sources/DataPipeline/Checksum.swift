import CXXHash
import Foundation

/// XXH3 with 64 bits over a stream of bytes: finds damage, does not withstand forgery.
struct Checksum: ~Copyable {
    private let state: OpaquePointer

    init() {
        guard let state = XXH3_createState() else { fatalError("out of memory") }
        self.state = state
        XXH3_64bits_reset(state)
    }

    deinit { XXH3_freeState(state) }

    func update(_ bytes: UnsafeRawBufferPointer) {
        if let base = bytes.baseAddress { XXH3_64bits_update(state, base, bytes.count) }
    }

    /// 16 hexadecimal digits.
    var text: String { Self.hexadecimal(XXH3_64bits_digest(state)) }

    static func text(of bytes: UnsafeRawBufferPointer) -> String {
        hexadecimal(bytes.baseAddress.map { XXH3_64bits($0, bytes.count) } ?? XXH3_64bits(UnsafeRawPointer(bitPattern: 1)!, 0))
    }

    static func text(of data: Data) -> String { data.withUnsafeBytes { text(of: $0) } }

    /// Of a file's content, in bounded memory.
    static func text(ofFile path: String) throws -> String {
        let descriptor = open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else {
            throw DataError(.inputOutput, "\(path): must be a readable file, but opening it failed: \(lastSystemError())")
        }
        defer { close(descriptor) }
        let chunk = UnsafeMutableRawBufferPointer.allocate(byteCount: 1 << 20, alignment: 64)
        defer { chunk.deallocate() }
        let checksum = Checksum()
        while true {
            let count = read(descriptor, chunk.baseAddress, chunk.count)
            if count == 0 { return checksum.text }
            if count > 0 {
                checksum.update(UnsafeRawBufferPointer(rebasing: UnsafeRawBufferPointer(chunk)[..<count]))
            } else if errno != EINTR {
                throw DataError(.inputOutput, "\(path): reading failed: \(lastSystemError())")
            }
        }
    }

    private static func hexadecimal(_ value: UInt64) -> String {
        let digits = String(value, radix: 16)
        return String(repeating: "0", count: 16 - digits.count) + digits
    }
}
