import ConfigurationForms
import Foundation
import Reporting

/// What the hosts of a survey have that is not as it should be. Nothing here looks at a host.
enum HostChecks {
    /// Seconds that a clock may be off.
    private static let clockLimit = 5.0
    /// Bytes a second below which a link is slow: half of 1 Gbit/s. And, below that of 4 Gbit/s, a quarter of the fastest.
    private static let slowSpeed = 60e6, fastSpeed = 500e6
    /// Bytes that a run's folder has at least.
    private static let leastRoom: UInt64 = 64 << 20

    static func reports(_ survey: HostSurvey) -> [HostReport] {
        survey.hosts.map { HostReport(host: $0.listed.name, checks: checks($0, survey)) }
    }

    private static func checks(_ host: HostSurvey.Host, _ survey: HostSurvey) -> [EnvironmentCheck] {
        let name = host.listed.name
        switch host.answer {
        case let .ended(status, said): return [failure(name, status, said, survey.program)]
        case .foreign: return [otherBuild("answers as another build does", survey.program)]
        case .silent(isBegun: false):
            return [
                .missing(
                    "ssh", "no answer within \(Int(HostSurvey.limits.answers)) s",
                    do: "see what is slow in ssh -v \(name) true: the name service, or a shell's start-up files")
            ]
        case .silent(isBegun: true):
            return [
                .missing(
                    "check", "began, but did not end within \(Int(HostSurvey.limits.answers)) s",
                    do: "list the folders of configuration, data and run there: one of its file systems may hang")
            ]
        case let .facts(facts, offset):
            let checks: [EnvironmentCheck?] = [
                build(facts, survey), libraries(facts, survey.caller), mpi(facts, isCaller: host.isCaller),
                currentFolder(facts), configuration(facts, survey), data(facts, survey), runFolder(facts, survey.needs),
                clock(offset), cores(host, facts, survey), memory(host, facts, survey.needs), ports(name, survey.links),
                link(name, survey.links),
            ]
            return checks.compactMap { $0 } + facts.environment
        }
    }

    // MARK: Hosts that have not answered

    /// What ssh, the shell there or the loader of programs has said.
    static func failure(_ host: String, _ status: Int32, _ said: String, _ program: String) -> EnvironmentCheck {
        let lines = said.split(whereSeparator: \.isNewline).map { String($0).trimmed }.filter { !$0.isEmpty }
        func line(with text: String) -> String? { lines.first { $0.contains(text) } }
        if let library = line(with: "error while loading shared libraries") {
            return .missing(
                "libraries", library,
                do: "install it there: launch/install-deps.sh; what begins with libswift or libFoundation comes with the Swift "
                    + "toolchain, and must be at the path that it has here")
        }
        if status == 127 || status == 126 {
            return .missing(
                "build", lines.last ?? "no \(program)",
                do: "put this host's build there, at the same path: \(program)")
        }
        if line(with: "host-facts") != nil { return otherBuild("does not know this check", program) }
        if status == 128 + SIGILL {
            return .missing(
                "processor", "lacks instructions that the build uses",
                do: "build for the oldest processor of the hosts: STRATA_MARCH names it")
        }
        guard status == 255 else {
            return .missing(
                "check", "ended with status \(status)\(lines.last.map { ": \($0)" } ?? "")",
                do: "see what ssh \(host) \(program) doctor says")
        }
        let advice: String
        if line(with: "Could not resolve") != nil {
            advice = "correct the name in the hostfile, or make it known: /etc/hosts or DNS"
        } else if line(with: "Permission denied") != nil {
            advice = "let this user's key in there: ssh-copy-id \(host); mpirun cannot type a password"
        } else if line(with: "IDENTIFICATION HAS CHANGED") != nil {
            advice = "if the host was installed anew: ssh-keygen -R \(host), then ssh \(host) once"
        } else if line(with: "Host key verification failed") != nil {
            advice = "accept the host's key once: ssh \(host)"
        } else if line(with: "refused") != nil {
            advice = "start sshd there"
        } else {
            advice = "see whether the host is on and its link up, and whether a firewall lets ssh pass"
        }
        let telling = line(with: "IDENTIFICATION HAS CHANGED") ?? lines.last ?? "ssh ended with status 255"
        // The check has that name already.
        return .missing("ssh", telling.hasPrefix("ssh: ") ? String(telling.dropFirst(5)) : telling, do: advice)
    }

    private static func otherBuild(_ found: String, _ program: String) -> EnvironmentCheck {
        .missing("build", found, do: "put this host's build there, at the same path: \(program)")
    }

    // MARK: Programs

    private static func build(_ facts: HostFacts, _ survey: HostSurvey) -> EnvironmentCheck {
        let found = "\(facts.version) (\(facts.build.prefix(8)))"
        guard facts.build != survey.caller.build else { return .fine("build", found) }
        return otherBuild("\(found), but \(survey.caller.version) (\(survey.caller.build.prefix(8))) here", survey.program)
    }

    private static func libraries(_ facts: HostFacts, _ caller: HostFacts) -> EnvironmentCheck {
        let name = "libraries"
        let others = facts.libraries.keys.filter { caller.libraries[$0] == nil }.sorted()
        let absent = caller.libraries.keys.filter { facts.libraries[$0] == nil }.sorted()
        let changed = facts.libraries.keys.filter {
            caller.libraries[$0].map { [key = $0] in $0 != facts.libraries[key] } ?? false
        }
        .sorted()
        guard !(others + absent + changed).isEmpty else { return .fine(name, "\(facts.libraries.count)") }
        let parts = [("has", others), ("lacks", absent), ("has another", changed)].filter { !$0.1.isEmpty }
        let found = parts.map { "\($0.0) \($0.1.joined(separator: ", "))" }.joined(separator: "; ") + ", compared with here"
        let isMPI = (others + absent + changed).contains { name in
            ["libmpi", "libopen-rte", "libopen-pal"].contains { name.hasPrefix($0) }
        }
        if isMPI {
            return .missing(name, found, do: "install the same Open MPI on all hosts: ranks of different versions do not meet")
        }
        return .warning(
            name, found, do: "install the same versions on all hosts: with others results may differ in the last bits")
    }

    private static func mpi(_ facts: HostFacts, isCaller: Bool) -> EnvironmentCheck {
        let name = "Open MPI"
        if isCaller {
            guard let version = facts.mpirun else {
                return .missing(name, "no mpirun on PATH", do: "install openmpi-bin: launch/install-deps.sh")
            }
            return .fine(name, version.split(separator: " ").last.map(String.init) ?? version)
        }
        guard facts.hasDaemon else {
            return .missing(
                name, "no orted on the PATH of a shell that ssh starts",
                do: "install openmpi-bin there, or set PATH for shells that are not interactive too")
        }
        let version = facts.mpirun?.split(separator: " ").last.map(String.init)
        return .fine(name, version ?? "there")
    }

    // MARK: Files

    private static func currentFolder(_ facts: HostFacts) -> EnvironmentCheck? {
        facts.folderProblem.map {
            .warning(
                "current folder", "cannot be entered: \($0)",
                do: "ranks start in the folder that run.sh is called in: have it at the same path, or give absolute paths")
        }
    }

    /// What most hosts should have: what the caller has, or, where it is none of them and has none, the first that has one.
    private static func expected(_ path: KeyPath<HostFacts, HostFacts.Finding?>, _ survey: HostSurvey) -> HostFacts.Finding? {
        ([survey.caller] + survey.hosts.compactMap(\.answer.facts)).lazy.compactMap { facts in
            if case .found = facts[keyPath: path] { facts[keyPath: path] } else { nil }
        }.first
    }

    private static func configuration(_ facts: HostFacts, _ survey: HostSurvey) -> EnvironmentCheck? {
        guard let finding = facts.configuration else { return nil }
        let name = "configuration"
        if case let .failed(reason) = finding {
            return .missing(name, oneLine(reason), do: "have the file at the same path, on a file system that all hosts see")
        }
        guard finding != expected(\.configuration, survey) else { return .fine(name, "the same") }
        return .missing(name, "other values than here", do: "have one file on a file system that all hosts see")
    }

    private static func data(_ facts: HostFacts, _ survey: HostSurvey) -> EnvironmentCheck? {
        guard let finding = facts.data else { return nil }
        let name = "data"
        if case let .failed(reason) = finding {
            return .missing(
                name, oneLine(reason),
                do: expected(\.data, survey) == nil
                    ? "run strata prepare, on one host" : "mount there the file system that has them on the other hosts")
        }
        guard finding != expected(\.data, survey) else { return .fine(name, "the same") }
        return .missing(
            name, "other prepared data than here at the same path",
            do: "prepare once, on a file system that all hosts see, or copy the folder")
    }

    private static func runFolder(_ facts: HostFacts, _ needs: HostSurvey.Needs) -> EnvironmentCheck? {
        guard let folder = facts.run else { return nil }
        let name = "run folder", path = folder.path
        if let code = folder.error {
            let advice =
                switch code {
                case ENOENT, ENOTDIR: "mount there the file system that has it on the other hosts"
                case EROFS: "mount the file system for writing"
                case ENOSPC, EDQUOT: "make room, or name another folder with --out"
                case EACCES, EPERM: "let the user that ssh comes in as write there"
                default: "see to the file system, or name another folder with --out"
                }
            return .missing(name, "\(path): cannot be written: \(String(cString: strerror(code)))", do: advice)
        }
        if folder.isShared == false {
            return .missing(
                name, "\(path): is another folder than here: a file made here is not seen",
                do: "name a folder with --out that is on a file system of all hosts")
        }
        let free = "\(sizeText(folder.free)) free"
        let least = max(needs.checkpoint ?? 0, leastRoom)
        guard folder.free >= least else {
            return .missing(
                name, "\(path): \(free), but a checkpoint takes \(sizeText(least))",
                do: "make room, or name another folder with --out")
        }
        let wanted = needs.checkpoint.map { Double($0) * Double(needs.checkpoints) } ?? Double(5 << 30)
        guard Double(folder.free) >= wanted else {
            return .warning(
                name,
                "\(path): \(free)"
                    + (needs.checkpoint.map {
                        ", but \(needs.checkpoints) checkpoints take \(sizeText($0 * UInt64(needs.checkpoints)))"
                    }
                        ?? ""),
                do: "make room, or lower checkpoint.keep")
        }
        return .fine(name, free)
    }

    /// Errors of configurations may have many lines.
    private static func oneLine(_ text: String) -> String { text.split(whereSeparator: \.isNewline).joined(separator: "; ") }

    // MARK: Clock, cores and memory

    private static func clock(_ offset: Double) -> EnvironmentCheck {
        guard abs(offset) > clockLimit else { return .fine("clock", "right") }
        return .warning(
            "clock", "\(NumberText.decimal(abs(offset), 0)) s \(offset > 0 ? "ahead of" : "behind") the clock here",
            do: "keep clocks together: timedatectl set-ntp true, or chrony; else times in logs and of files mislead")
    }

    private static func slots(_ host: HostSurvey.Host, _ facts: HostFacts) -> Int { max(1, host.listed.slots ?? facts.cores) }

    private static func cores(_ host: HostSurvey.Host, _ facts: HostFacts, _ survey: HostSurvey) -> EnvironmentCheck {
        let slots = slots(host, facts), found = "\(facts.cores) for \(slots) slot(s)"
        guard facts.cores >= slots else {
            return .warning(
                "cores", found,
                do: "lower slots in the hostfile to \(facts.cores): ranks that share a core keep all others waiting")
        }
        func share(_ host: HostSurvey.Host) -> Double {
            host.answer.facts.map { Double($0.cores) / Double(Self.slots(host, $0)) } ?? 0
        }
        guard let best = survey.hosts.max(by: { share($0) < share($1) }), share(host) * 2 <= share(best) else {
            return .fine("cores", found)
        }
        return .warning(
            "cores",
            "\(found), where \(best.listed.name) has \(best.answer.facts?.cores ?? 0) for "
                + "\(best.answer.facts.map { Self.slots(best, $0) } ?? 0)",
            do: "give it fewer slots, or the others more: each update waits for the slowest rank")
    }

    private static func memory(_ host: HostSurvey.Host, _ facts: HostFacts, _ needs: HostSurvey.Needs) -> EnvironmentCheck? {
        guard let memory = facts.memory else { return nil }
        let found = "\(sizeText(memory)) available", slots = slots(host, facts)
        guard let ofRank = needs.memoryOfRank, Double(ofRank) * Double(slots) > Double(memory) else {
            return .fine("memory", found)
        }
        return .warning(
            "memory", "\(found), but \(slots) rank(s) take about \(sizeText(ofRank * UInt64(slots)))",
            do: "give the host fewer slots, or lower training.tokens_per_group; strata plan shows what takes how much")
    }

    // MARK: Between hosts

    /// The fewest hosts that explain the ways with a fault: hosts of whose ways, to and from others, each has it, and first those
    /// that explain most. Between two hosts it may be either: then both.
    private static func culprits(_ links: [HostSurvey.Link], _ isFaulty: (HostSurvey.Link) -> Bool) -> Set<String> {
        func touches(_ link: HostSurvey.Link, _ name: String) -> Bool { link.from == name || link.to == name }
        let names = Set(links.flatMap { [$0.from, $0.to] })
        let suspects = names.filter { name in links.allSatisfy { !touches($0, name) || isFaulty($0) } }
        var unexplained = links.filter(isFaulty), culprits: Set<String> = []
        while true {
            let counts = suspects.map { name in (name: name, links: unexplained.count { touches($0, name) }) }
            guard let most = counts.map(\.links).max(), most > 0 else { return culprits }
            let worst = counts.filter { $0.links == most }.map(\.name)
            culprits.formUnion(worst)
            unexplained.removeAll { link in worst.contains { touches(link, $0) } }
        }
    }

    static func ports(_ host: String, _ links: [HostSurvey.Link]) -> EnvironmentCheck? {
        let silent = Set(links.filter { !$0.isTried }.map(\.from))
        guard !silent.contains(host) else {
            return .missing(
                "ports", "did not say within \(Int(HostSurvey.limits.links)) s whether it gets through to the others",
                do: "look again; if it stays so, see what is slow there, and in the network between")
        }
        // What does not get through to such a host is explained by it.
        let tried = links.filter { !silent.contains($0.from) && !silent.contains($0.to) }
        let own = tried.filter { $0.from == host || $0.to == host }
        guard !own.isEmpty else { return nil }
        let culprits = culprits(tried) { !$0.blocked.isEmpty }
        // Where no host is to blame for all, it is the one that is not reached: firewalls look at what comes in.
        let blocked = own.filter { link in
            guard !link.blocked.isEmpty else { return false }
            return culprits.contains(host) || (link.to == host && !culprits.contains(link.from))
        }
        guard !blocked.isEmpty else { return .fine("ports", "open") }
        let incoming = blocked.filter { $0.to == host }, shown = incoming.isEmpty ? blocked : incoming
        let found = shown.prefix(3).map { "\($0.from) does not get through to \($0.blocked.joined(separator: ", "))" }
        return .missing(
            "ports", found.joined(separator: "; ") + (shown.count > 3 ? "; and \(shown.count - 3) more" : ""),
            do: "let TCP pass the firewalls between the hosts, which let ssh pass, or name the ports that are open: "
                + "OMPI_MCA_btl_tcp_port_min_v4, OMPI_MCA_oob_tcp_dynamic_ipv4_ports")
    }

    static func link(_ host: String, _ links: [HostSurvey.Link]) -> EnvironmentCheck? {
        let measured = links.filter { $0.speed != nil }
        let out = measured.filter { $0.from == host }, own = out + measured.filter { $0.to == host }
        guard !own.isEmpty else { return nil }
        let fastest = measured.compactMap(\.speed).max() ?? 0
        func isSlow(_ link: HostSurvey.Link) -> Bool {
            let speed = link.speed ?? 0
            return speed < slowSpeed || (speed < fastSpeed && speed * 4 < fastest)
        }
        let culprits = culprits(measured, isSlow)
        let slow = culprits.contains(host) ? own : out.filter { isSlow($0) && !culprits.contains($0.to) }
        func text(_ links: [HostSurvey.Link]) -> String {
            links.map { link in
                let speed = (link.speed ?? 0) / 1e6
                return "\(NumberText.decimal(speed, speed < 10 ? 1 : 0)) MB/s "
                    + (link.from == host ? "to \(link.to)" : "from \(link.from)")
            }.joined(separator: ", ")
        }
        guard !slow.isEmpty else { return .fine("link", text(out.isEmpty ? own : out)) }
        return .warning(
            "link", "slow: \(text(slow))",
            do: "see to cable, switch and adapter (ethtool), or name a faster network: OMPI_MCA_btl_tcp_if_include; "
                + "1 Gbit/s brings about 115 MB/s")
    }
}
