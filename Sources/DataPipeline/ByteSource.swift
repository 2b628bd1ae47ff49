import Foundation

/// A stream of bytes, read once from front to back.
protocol ByteSource: AnyObject {
    /// Reads what there is, at least a byte, at most as many as fit; 0 at the end. Waits only if nothing is there.
    func read(into destination: UnsafeMutableRawBufferPointer) throws -> Int
    /// Whether `read` would give bytes, or the end, without waiting.
    var isReady: Bool { get }
}

/// The bytes of a file descriptor: a file, a pipe, a terminal.
final class DescriptorBytes: ByteSource {
    private let descriptor: Int32
    private let name: String
    private let closes: Bool

    /// - Parameters:
    ///   - name: for messages.
    ///   - closes: whether the descriptor is closed when this is gone.
    init(descriptor: Int32, name: String, closes: Bool = false) {
        (self.descriptor, self.name, self.closes) = (descriptor, name, closes)
    }

    convenience init(path: String) throws {
        let descriptor = open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else {
            throw DataError(.inputOutput, "\(path): must be a readable file, but opening it failed: \(lastSystemError())")
        }
        self.init(descriptor: descriptor, name: path, closes: true)
    }

    deinit { if closes { close(descriptor) } }

    func read(into destination: UnsafeMutableRawBufferPointer) throws -> Int {
        while true {
            let count = Foundation.read(descriptor, destination.baseAddress, destination.count)
            if count >= 0 { return count }
            switch errno {
            case EINTR: continue
            case EAGAIN: _ = waits(milliseconds: -1)  // Whoever opened it does not want to wait; we do.
            default: throw DataError(.inputOutput, "\(name): reading failed: \(lastSystemError())")
            }
        }
    }

    var isReady: Bool { !waits(milliseconds: 0) }

    /// Waits until there is something to read, or for so long; true if there is still nothing.
    private func waits(milliseconds: Int32) -> Bool {
        var request = pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)
        return poll(&request, 1, milliseconds) == 0
    }
}
