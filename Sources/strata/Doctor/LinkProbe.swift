import Collectives
import Foundation

/// Whether and how fast TCP gets from one host to another.
enum LinkProbe {
    /// Seconds that a connection may take, by each of at most two addresses.
    private static let patience = 2.0
    /// Seconds over which speed is measured, and those after which the other end must have said what it was.
    private static let span = 0.8, limit = 3.0
    private static let pieceSize = 256 << 10

    static var now: Double { Double(DispatchTime.now().uptimeNanoseconds) / 1e9 }

    // MARK: The end that is reached

    /// A socket that listens at the first free port from there on, as Open MPI does it; 0 is any. nil if none is free.
    static func listen(from first: UInt16) -> (descriptor: Int32, port: UInt16)? {
        for port in first == 0 ? 0...0 : first...(first < .max - 99 ? first + 99 : .max) {
            let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
            guard descriptor >= 0 else { return nil }
            var address = Self.address(INADDR_ANY, port), length = socklen_t(MemoryLayout<sockaddr_in>.size)
            let isListening = withGeneric(&address) {
                bind(descriptor, $0, length) == 0 && Foundation.listen(descriptor, 1024) == 0
                    && getsockname(descriptor, $0, &length) == 0
            }
            if isListening { return (descriptor, UInt16(bigEndian: address.sin_port)) }
            close(descriptor)
        }
        return nil
    }

    /// Answers what connects, until the process ends.
    static func serve(_ listener: Int32) {
        SystemThread {
            while true {
                let connection = accept(listener, nil, nil)
                guard connection >= 0 else { return }
                SystemThread {
                    receive(connection)
                    close(connection)
                }?.detach()
            }
        }?.detach()
    }

    /// Tells the other end how fast its bytes arrive.
    private static func receive(_ connection: Int32) {
        var wait = timeval(tv_sec: Int(limit), tv_usec: 0)
        setsockopt(connection, SOL_SOCKET, SO_RCVTIMEO, &wait, socklen_t(MemoryLayout<timeval>.size))
        var piece = [UInt8](repeating: 0, count: pieceSize)
        // Who only wants to get through sends nothing. When the first bytes were sent is not known: they do not count.
        guard read(connection, &piece, piece.count) > 0 else { return }
        let start = now
        var bytes = 0, end = start
        while end - start < span {
            let count = read(connection, &piece, piece.count)
            guard count > 0 else { break }
            bytes += count
            end = now
        }
        let answer = "\(end > start ? Double(bytes) / (end - start) : 0)\n"
        _ = answer.withCString { send(connection, $0, strlen($0), Int32(MSG_NOSIGNAL)) }
        shutdown(connection, Int32(SHUT_WR))
        // With bytes unread the system would take the answer back.
        while now - end < limit, read(connection, &piece, piece.count) > 0 {}
    }

    // MARK: The end that reaches

    /// Tries all at once, and then measures.
    static func look(at targets: [LinkTarget]) -> [LinkFacts] {
        var facts = targets.map { LinkFacts(to: $0.name, blocked: [], speed: nil) }
        // The connection to a target's first port, to measure with.
        var connections = [Int32?](repeating: nil, count: targets.count)
        for turn in 0..<2 {
            var attempts: [(target: Int, address: String, port: UInt16)] = []
            for (index, target) in targets.enumerated() where turn < target.addresses.count {
                if turn > 0 && facts[index].blocked.isEmpty { continue }
                attempts += target.ports.map { (index, target.addresses[turn], $0) }
            }
            var blocked: [Int: [String]] = [:]
            for (attempt, outcome) in zip(attempts, connect(attempts.map { ($0.address, $0.port) })) {
                switch outcome {
                case let .success(descriptor):
                    if attempt.port == targets[attempt.target].ports.first, connections[attempt.target] == nil {
                        connections[attempt.target] = descriptor
                    } else {
                        close(descriptor)
                    }
                case let .failure(reason):
                    blocked[attempt.target, default: []].append("\(attempt.address):\(attempt.port): \(reason)")
                }
            }
            for target in Set(attempts.map(\.target)) {
                // What the likelier address says is said, unless the other one is better.
                if turn == 0 || blocked[target] == nil { facts[target].blocked = blocked[target] ?? [] }
            }
        }
        for (index, connection) in connections.enumerated() {
            guard let connection else { continue }
            if targets[index].isMeasured, facts[index].blocked.isEmpty { facts[index].speed = speed(connection) }
            // What is still to be sent is for nobody.
            var abort = Foundation.linger(l_onoff: 1, l_linger: 0)
            setsockopt(connection, SOL_SOCKET, SO_LINGER, &abort, socklen_t(MemoryLayout<Foundation.linger>.size))
            close(connection)
        }
        return facts
    }

    /// Bytes a second, as the other end counts them; nil if it does not say.
    private static func speed(_ connection: Int32) -> Double? {
        let piece = [UInt8](repeating: 0, count: pieceSize)
        let deadline = now + limit
        var answer = ""
        while now < deadline {
            var events = [pollfd(fd: connection, events: Int16(POLLIN | POLLOUT), revents: 0)]
            guard poll(&events, 1, 100) >= 0 || errno == EINTR else { return nil }
            if events[0].revents & Int16(POLLIN | POLLHUP | POLLERR) != 0 {
                var bytes = [UInt8](repeating: 0, count: 64)
                let count = read(connection, &bytes, bytes.count)
                guard count > 0 else { return nil }
                answer += String(decoding: bytes[..<count], as: UTF8.self)
                if answer.hasSuffix("\n") { return Double(answer.dropLast()) }
            }
            if events[0].revents & Int16(POLLOUT) != 0 {
                _ = send(connection, piece, piece.count, Int32(MSG_NOSIGNAL) | Int32(MSG_DONTWAIT))
            }
        }
        return nil
    }

    /// Why a connection was not made.
    private struct Refusal: Error, CustomStringConvertible {
        let description: String
    }

    /// Connections, made side by side: their descriptors, which do not block.
    private static func connect(_ ends: [(address: String, port: UInt16)]) -> [Result<Int32, Refusal>] {
        var outcomes = [Result<Int32, Refusal>?](repeating: nil, count: ends.count)
        var open: [(index: Int, descriptor: Int32)] = []
        func refuse(_ index: Int, _ descriptor: Int32, _ code: Int32) {
            if descriptor >= 0 { close(descriptor) }
            outcomes[index] = .failure(Refusal(description: String(cString: strerror(code))))
        }
        for (index, end) in ends.enumerated() {
            let kind = Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue) | Int32(SOCK_NONBLOCK.rawValue)
            let descriptor = socket(AF_INET, kind, 0)
            guard descriptor >= 0, let number = IPv4Address(end.address)?.number else {
                refuse(index, descriptor, descriptor < 0 ? errno : EINVAL)
                continue
            }
            var address = Self.address(number, end.port)
            let code = withGeneric(&address) {
                Foundation.connect(descriptor, $0, socklen_t(MemoryLayout<sockaddr_in>.size)) == 0 ? 0 : errno
            }
            if code == 0 || code == EINPROGRESS { open.append((index, descriptor)) } else { refuse(index, descriptor, code) }
        }
        let deadline = now + patience
        while !open.isEmpty, now < deadline {
            var events = open.map { pollfd(fd: $0.descriptor, events: Int16(POLLOUT), revents: 0) }
            guard poll(&events, nfds_t(events.count), 50) > 0 else { continue }
            for ((index, descriptor), event) in zip(open, events) where event.revents != 0 {
                var code: Int32 = 0, length = socklen_t(MemoryLayout<Int32>.size)
                getsockopt(descriptor, SOL_SOCKET, SO_ERROR, &code, &length)
                if code == 0 { outcomes[index] = .success(descriptor) } else { refuse(index, descriptor, code) }
            }
            open.removeAll { outcomes[$0.index] != nil }
        }
        for (index, descriptor) in open {
            close(descriptor)
            outcomes[index] = .failure(Refusal(description: "no answer within \(Int(patience)) s"))
        }
        return outcomes.map { $0! }
    }

    private static func address(_ number: UInt32, _ port: UInt16) -> sockaddr_in {
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_addr.s_addr = number.bigEndian
        address.sin_port = port.bigEndian
        return address
    }

    private static func withGeneric<Value>(
        _ address: inout sockaddr_in, _ body: (UnsafeMutablePointer<sockaddr>) -> Value
    ) -> Value {
        withUnsafeMutablePointer(to: &address) { $0.withMemoryRebound(to: sockaddr.self, capacity: 1, body) }
    }
}
