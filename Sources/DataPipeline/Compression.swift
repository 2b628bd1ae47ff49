import Foundation

/// How a text file is compressed, as its name's last extension says.
enum Compression: String, CaseIterable {
    case gzip = "gz"
    case zstandard = "zst"

    /// Extensions of compressed files that are not read.
    static let unread = ["bz2", "xz", "lzma", "lz4", "zip", "7z", "rar", "br", "Z", "tar", "tgz"]

    /// A file's name without the extension of a compression, and which that is.
    static func split(_ name: String) -> (name: String, compression: Compression?) {
        guard let dot = name.lastIndex(of: "."),
            let compression = Compression(rawValue: String(name[name.index(after: dot)...]))
        else { return (name, nil) }
        return (String(name[..<dot]), compression)
    }

    /// A file's bytes, decompressed where its name says so.
    ///
    /// - Throws: `DataError.inputOutput` for a file that cannot be opened; reading throws `DataError.text` for damaged data.
    static func open(_ path: String) throws -> any ByteSource {
        let bytes = try DescriptorBytes(path: path)
        switch split(path).compression {
        case nil: return bytes
        case .gzip: return try GzipBytes(bytes, name: path)
        case .zstandard: return try ZstandardBytes(bytes, name: path)
        }
    }
}

/// Compressed bytes read ahead, of which a decompressor takes as many as it wants.
struct CompressedInput {
    private let source: any ByteSource
    private let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: 1 << 17, alignment: 1)
    /// What was read and not taken yet.
    private(set) var waiting: UnsafeMutableRawBufferPointer

    init(_ source: any ByteSource) {
        self.source = source
        waiting = UnsafeMutableRawBufferPointer(rebasing: buffer[..<0])
    }

    func release() { buffer.deallocate() }

    /// Reads more if nothing waits; false at the end.
    mutating func fill() throws -> Bool {
        if waiting.isEmpty { waiting = UnsafeMutableRawBufferPointer(rebasing: buffer[..<(try source.read(into: buffer))]) }
        return !waiting.isEmpty
    }

    mutating func take(_ count: Int) { waiting = UnsafeMutableRawBufferPointer(rebasing: waiting[count...]) }
}
