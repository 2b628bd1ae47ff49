import Foundation

/// The part of the look at hosts that runs on each of them: it answers on standard output what comes in on standard input, a
/// line each, and ends with its input.
///
/// The lines: a `HostGreeting` out; a `HostRequest` in, `HostFacts` out; `[LinkTarget]` in, `[LinkFacts]` out.
enum HostProbe {
    /// Begins each line of the answer: what a shell prints at its start has another begin.
    static let mark = "strata-host "
    /// Seconds after which it ends, whatever is under way: the caller gives up sooner.
    private static let lifetime: UInt32 = 60

    static func run() throws {
        alarm(lifetime)
        try say(HostGreeting(clock: Date().timeIntervalSince1970))
        guard let request = try next(HostRequest.self) else { return }
        let listeners = request.ports.compactMap { LinkProbe.listen(from: $0) }
        try say(HostFacts(of: .ofThisMachine(), for: request, ports: listeners.map(\.port)))
        for listener in listeners { LinkProbe.serve(listener.descriptor) }
        guard let targets = try next([LinkTarget].self) else { return }
        try say(LinkProbe.look(at: targets))
        // Others may still be measuring their way to this one.
        while readLine() != nil {}
    }

    static func line(_ value: some Encodable) throws -> Data { try JSONEncoder().encode(value) + [UInt8(ascii: "\n")] }

    private static func say(_ value: some Encodable) throws {
        FileHandle.standardOutput.write(Data(mark.utf8) + (try line(value)))
    }

    private static func next<Value: Decodable>(_ type: Value.Type) throws -> Value? {
        try readLine().map { try JSONDecoder().decode(type, from: Data($0.utf8)) }
    }
}
