import Collectives
import Files
import Foundation
import Synchronization

extension HostSurvey {
    /// Seconds for names to be looked up, for answers, and for ways between hosts, each for all hosts at once.
    static let limits = (names: 2.0, answers: 9.0, links: 7.0)

    /// Asks all hosts at once, by ssh but for this one. Takes less than 20 seconds, whatever the hosts do.
    ///
    /// - Parameter run: The run's folder, if there is one.
    /// - Throws: `CommandFailure` if the program does not even answer here.
    static func conduct(
        _ listed: [ListedHost], program: String, request: HostRequest, run: String?, needs: Needs,
        environment: [String: String]
    ) throws -> HostSurvey {
        var request = request
        let marker = run.map { Marker(above: $0, in: request.folder) }
        defer { marker?.remove() }
        request.run = marker.map { .init(folder: $0.folder, marker: $0.name) }
        request.ports = ports(environment)
        let asked = try HostProbe.line(request)

        let local = Self.local(listed)
        let here = HostSession([program, "doctor", "--host-facts"])
        let sessions = listed.map { host in
            // mpirun starts the ranks of its own host without ssh; two lines of this host are one.
            local.contains(host.name) ? here : HostSession(ssh(host.name, program, environment))
        }
        let all = [here] + sessions.filter { $0 !== here }
        defer { for session in all { session.end() } }
        for session in all { session.send(asked) }
        HostSession.wait(for: all, lines: 2, until: Date() + limits.answers)
        let hosts = zip(listed, sessions).map { host, session in
            Host(listed: host, isCaller: session === here, answer: answer(of: session))
        }
        guard let caller = answer(of: here).facts else {
            throw CommandFailure(.internal, "\(program) doctor must answer on this host, but does not: \(answer(of: here))")
        }
        var survey = HostSurvey(program: program, caller: caller, hosts: hosts, needs: needs)

        let plan = survey.targets()
        for (session, targets) in zip(sessions, plan) where !targets.isEmpty { session.send(try HostProbe.line(targets)) }
        let asking = zip(sessions, plan).filter { !$1.isEmpty }.map(\.0)
        HostSession.wait(for: asking, lines: 3, until: Date() + limits.links)
        for (host, (session, targets)) in zip(listed, zip(sessions, plan)) where !targets.isEmpty {
            let answered = session.lines.count > 2 ? decode([LinkFacts].self, session.lines[2].text) : nil
            survey.links += targets.map { target in
                let facts = answered?.first { $0.to == target.name }
                return Link(
                    from: host.name, to: target.name, isTried: facts != nil, blocked: facts?.blocked ?? [], speed: facts?.speed)
            }
        }
        return survey
    }

    /// Which others each host is to reach, in the hosts' order: all, and to measure the way to the next one in a ring.
    func targets() -> [[LinkTarget]] {
        let answering = hosts.indices.filter { hosts[$0].answer.facts != nil }
        return hosts.indices.map { index in
            guard let facts = hosts[index].answer.facts, let place = answering.firstIndex(of: index) else { return [] }
            return (1..<max(1, answering.count)).compactMap { step in
                let host = hosts[answering[(place + step) % answering.count]]
                // One host under two names has no way to itself.
                guard let other = host.answer.facts, other.addresses != facts.addresses, !other.ports.isEmpty else {
                    return nil
                }
                let ways = IPv4Address.ways(from: facts.addresses, to: other.addresses)
                guard !ways.isEmpty else { return nil }
                return LinkTarget(
                    name: host.listed.name, addresses: Array(ways.prefix(2)), ports: other.ports, isMeasured: step == 1)
            }
        }
    }

    private static func answer(of session: HostSession) -> HostAnswer {
        guard let greeting = session.lines.first else {
            return session.status.map { .ended(status: $0, said: session.said) } ?? .silent(isBegun: false)
        }
        guard session.lines.count > 1 else {
            return session.status.map { .ended(status: $0, said: session.said) } ?? .silent(isBegun: true)
        }
        guard let clock = decode(HostGreeting.self, greeting.text)?.clock,
            let facts = decode(HostFacts.self, session.lines[1].text)
        else { return .foreign }
        return .facts(facts, offset: clock - greeting.received.timeIntervalSince1970)
    }

    private static func decode<Value: Decodable>(_ type: Value.Type, _ line: String) -> Value? {
        try? JSONDecoder().decode(type, from: Data(line.utf8))
    }

    /// The ports at which Open MPI begins to listen: for messages, and for its daemons.
    static func ports(_ environment: [String: String]) -> [UInt16] {
        func first(_ variable: String) -> UInt16? {
            environment[variable]?.split { $0 == "," || $0 == "-" }.first.flatMap { UInt16($0) }
        }
        return [first("OMPI_MCA_btl_tcp_port_min_v4") ?? 1024, first("OMPI_MCA_oob_tcp_dynamic_ipv4_ports") ?? 0]
    }

    // MARK: ssh

    /// The command that asks a host: with the options that mpirun is given for ssh, and those of launch/hosts.sh.
    static func ssh(_ host: String, _ program: String, _ environment: [String: String]) -> [String] {
        let given = environment["OMPI_MCA_plm_rsh_args"]?.split(separator: " ").map(String.init) ?? []
        let own = ["BatchMode=yes", "ConnectTimeout=3", "ServerAliveInterval=2", "ServerAliveCountMax=3"]
        let quoted = program.split(separator: "'", omittingEmptySubsequences: false).joined(separator: #"'\''"#)
        return ["ssh"] + given + own.flatMap { ["-o", $0] } + [host, "exec '\(quoted)' doctor --host-facts"]
    }

    /// The names that are this host's.
    private static func local(_ listed: [ListedHost]) -> Set<String> {
        var name = utsname()
        uname(&name)
        let own = withUnsafeBytes(of: &name.nodename) { String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self) }
        let names: Set = ["localhost", own, own.split(separator: ".").first.map(String.init) ?? own]
        var local: Set<String> = []
        var unknown: [ListedHost] = []
        for host in listed {
            if names.contains(host.address) { local.insert(host.name) } else { unknown.append(host) }
        }
        // Names that nobody answers for take their time; a host that is not known in time is another one.
        let found = Answers()
        for host in unknown {
            SystemThread { found.add(host.name, isOfThisHost(host.address)) }?.detach()
        }
        let deadline = Date() + limits.names
        while found.count < unknown.count, Date() < deadline { usleep(5000) }
        return local.union(found.positive)
    }

    /// What threads have found so far.
    private final class Answers: Sendable {
        private let known = Mutex<[String: Bool]>([:])

        func add(_ name: String, _ answer: Bool) { known.withLock { $0[name] = answer } }
        var count: Int { known.withLock { $0.count } }
        var positive: Set<String> { known.withLock { Set($0.filter(\.value).keys) } }
    }

    /// Whether a name stands for an address that a socket of this host can have.
    private static func isOfThisHost(_ name: String) -> Bool {
        var hints = addrinfo(), first: UnsafeMutablePointer<addrinfo>?
        hints.ai_family = AF_INET
        hints.ai_socktype = Int32(SOCK_STREAM.rawValue)
        guard getaddrinfo(name, nil, &hints, &first) == 0, let first else { return false }
        defer { freeaddrinfo(first) }
        let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
        guard descriptor >= 0 else { return false }
        defer { close(descriptor) }
        return bind(descriptor, first.pointee.ai_addr, first.pointee.ai_addrlen) == 0
    }

    // MARK: The run's folder

    /// A file in the folder that hosts are to see.
    private struct Marker {
        /// The run's folder, or the nearest above it that is there.
        let folder: String
        /// nil: could not be made.
        let name: String?

        init(above run: String, in current: String) {
            var path = run.hasPrefix("/") ? run : "\(current)/\(run)"
            while path != "/", !FileManager.default.fileExists(atPath: path) { path = path.parentFolder }
            folder = path
            let name = ".strata-doctor-\(UUID().uuidString)"
            let file = open("\(path)/\(name)", O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0o600)
            self.name = file < 0 ? nil : name
            if file >= 0 { close(file) }
        }

        func remove() { if let name { unlink("\(folder)/\(name)") } }
    }
}
