import CZlib
import CZstd
import Foundation

@testable import DataPipeline

/// Compressed text as gzip and zstd write it.
enum CompressedText {
    /// One gzip member.
    static func gzip(_ bytes: Data) -> Data {
        let folder = ScratchFolder()
        let path = "\(folder.path)/member"
        let file = gzopen(path, "wb")
        bytes.withUnsafeBytes { _ = gzwrite(file, $0.baseAddress, UInt32($0.count)) }
        gzclose(file)
        return FileManager.default.contents(atPath: path)!
    }

    /// One Zstandard frame.
    static func zstandard(_ bytes: Data) -> Data {
        var frame = Data(count: ZSTD_compressBound(bytes.count))
        let count = frame.withUnsafeMutableBytes { frame in
            bytes.withUnsafeBytes { ZSTD_compress(frame.baseAddress, frame.count, $0.baseAddress, $0.count, 3) }
        }
        return frame.prefix(count)
    }

    static func bytes(_ bytes: Data, as compression: Compression) -> Data {
        switch compression {
        case .gzip: gzip(bytes)
        case .zstandard: zstandard(bytes)
        }
    }
}
