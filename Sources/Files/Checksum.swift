import CXXHash
import Foundation

/// XXH3 with 64 bits over a stream of bytes: finds damage, does not withstand forgery.
public struct Checksum: ~Copyable {
    private let state: OpaquePointer

    public init() {
        guard let state = XXH3_createState() else { fatalError("out of memory") }
        self.state = state
        XXH3_64bits_reset(state)
    }

    deinit { XXH3_freeState(state) }

    public func update(_ bytes: UnsafeRawBufferPointer) {
        if let base = bytes.baseAddress { XXH3_64bits_update(state, base, bytes.count) }
    }

    /// 16 hexadecimal digits.
    public var text: String { String(XXH3_64bits_digest(state), digits: 16, radix: 16) }

    public static func text(of data: Data) -> String {
        let checksum = Checksum()
        data.withUnsafeBytes { checksum.update($0) }
        return checksum.text
    }

    /// The checksum of bytes in memory, as a number.
    public static func value(of bytes: UnsafeRawBufferPointer, seed: UInt64 = 0) -> UInt64 {
        XXH3_64bits_withSeed(bytes.baseAddress, bytes.count, seed)
    }

    /// The checksum of a file's content, in bounded memory.
    ///
    /// - Throws: `FileError`.
    public static func text(ofFile path: String) throws -> String {
        let (descriptor, _) = try FileReader.open(path)
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
                throw FileError(path: path, while: "reading")
            }
        }
    }
}
