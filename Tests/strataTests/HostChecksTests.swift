import Foundation
import Testing

@testable import strata

/// What is said of hosts, by facts that are given.
@Suite struct HostChecksTests {
    /// A host on which everything is as it should be.
    static func facts(_ number: Int, _ change: (inout HostFacts) -> Void = { _ in }) -> HostFacts {
        var facts = HostFacts(
            version: "1", build: "0123456789abcdef", libraries: ["libmpi.so.40": "a", "libopenblas.so.0": "b"],
            mpirun: "mpirun (Open MPI) 4.1.4", hasDaemon: true, folderProblem: nil, configuration: .found("c"),
            data: .found("d"), run: .init(path: "/runs", error: nil, free: 100 << 30, isShared: true), cores: 8,
            memory: 32 << 30, addresses: ["10.0.0.\(number)/24", "172.17.0.1/16"], ports: [1024, 40_000], environment: [])
        change(&facts)
        return facts
    }

    /// Three hosts, node1 looking, of which node2 has what is given.
    static func survey(_ second: HostAnswer, slots: Int? = 8, links: [HostSurvey.Link] = []) -> HostSurvey {
        func host(_ number: Int, _ answer: HostAnswer, _ slots: Int? = 8) -> HostSurvey.Host {
            .init(listed: ListedHost(name: "node\(number)", slots: slots), isCaller: number == 1, answer: answer)
        }
        return HostSurvey(
            program: "/strata", caller: facts(1),
            hosts: [
                host(1, .facts(facts(1), offset: 0)), host(2, second, slots), host(3, .facts(facts(3), offset: 0.1)),
            ], links: links, needs: .init(memoryOfRank: 1 << 30, checkpoint: 1 << 30, checkpoints: 5))
    }

    /// The one check of node2 that is not fine; the other hosts have none.
    static func fault(_ survey: HostSurvey) throws -> EnvironmentCheck {
        let reports = HostChecks.reports(survey)
        let faults = reports.map { $0.checks.filter { $0.status != .fine } }
        try #require(faults.map(\.count) == [0, 1, 0], "\(faults)")
        let fault = faults[1][0]
        #expect(fault.advice?.isEmpty == false)
        #expect(
            reports[1].text.contains("\(fault.status.mark) node2: \(fault.name): \(fault.found)\n    → "), "\(reports[1].text)")
        return fault
    }

    static func fault(offset: Double = 0, slots: Int? = 8, _ change: (inout HostFacts) -> Void) throws -> EnvironmentCheck {
        try fault(survey(.facts(facts(2, change), offset: offset), slots: slots))
    }

    @Test func nothingIsSaidOfGoodHosts() {
        let links = [("node1", "node2"), ("node2", "node3"), ("node3", "node1")].map {
            HostSurvey.Link(from: $0.0, to: $0.1, speed: 115e6)
        }
        let reports = HostChecks.reports(Self.survey(.facts(Self.facts(2), offset: -0.5), links: links))
        #expect(reports.flatMap(\.checks).allSatisfy { $0.status == .fine && $0.advice == nil }, "\(reports)")
        #expect(
            reports[1].text == """
                ✓ node2: build 1 (01234567), libraries 2, Open MPI 4.1.4, configuration the same, data the same,
                    run folder 100.0 GiB free, clock right, cores 8 for 8 slot(s), memory 32.0 GiB available, ports open,
                    link 115 MB/s to node3

                """)
    }

    // MARK: Hosts that do not answer

    @Test(arguments: [
        ("ssh: Could not resolve hostname node2: Name or service not known", "/etc/hosts or DNS"),
        ("me@node2: Permission denied (publickey).", "ssh-copy-id node2"),
        ("Host key verification failed.", "ssh node2"),
        ("@ WARNING: REMOTE HOST IDENTIFICATION HAS CHANGED! @\nHost key verification failed.", "ssh-keygen -R node2"),
        ("ssh: connect to host node2 port 22: Connection refused", "start sshd"),
        ("ssh: connect to host node2 port 22: Connection timed out", "whether the host is on"),
    ])
    func whatSSHSaysIsSaid(said: String, advice: String) throws {
        let fault = try Self.fault(Self.survey(.ended(status: 255, said: "a banner\n\(said)\r\n")))
        #expect(fault.name == "ssh" && fault.status == .missing && said.contains(fault.found), "\(fault)")
        #expect(fault.advice?.contains(advice) == true, "\(fault)")
    }

    @Test(arguments: [
        (
            127, "/strata: error while loading shared libraries: libx.so.1: cannot open shared object file", "libraries",
            "install"
        ),
        (127, "bash: line 1: /strata: No such file or directory", "build", "at the same path: /strata"),
        (126, "bash: line 1: /strata: Permission denied", "build", "at the same path: /strata"),
        (64, "Error: Unknown option '--host-facts'", "build", "at the same path: /strata"),
        (132, "", "processor", "STRATA_MARCH"), (70, "strata: error: what", "check", "ssh node2 /strata doctor"),
    ])
    func whatEndsThereIsSaid(status: Int32, said: String, name: String, advice: String) throws {
        let fault = try Self.fault(Self.survey(.ended(status: status, said: said)))
        #expect(fault.name == name && fault.status == .missing && fault.advice?.contains(advice) == true, "\(fault)")
    }

    @Test func silenceIsNamed() throws {
        #expect(try Self.fault(Self.survey(.silent(isBegun: false))).name == "ssh")
        #expect(try Self.fault(Self.survey(.silent(isBegun: true))).advice?.contains("file systems") == true)
        #expect(try Self.fault(Self.survey(.foreign)).name == "build")
    }

    // MARK: Programs and files

    @Test func anotherBuildIsNamed() throws {
        let fault = try Self.fault { $0.build = "fedcba9876543210" }
        #expect(fault.name == "build" && fault.status == .missing && fault.found == "1 (fedcba98), but 1 (01234567) here")
    }

    @Test func otherLibrariesAreNamed() throws {
        let blas = try Self.fault { $0.libraries = ["libmpi.so.40": "a", "libopenblas.so.1": "b"] }
        #expect(blas.status == .warning && blas.found == "has libopenblas.so.1; lacks libopenblas.so.0, compared with here")
        let mpi = try Self.fault { $0.libraries["libmpi.so.40"] = "c" }
        #expect(mpi.status == .missing && mpi.found == "has another libmpi.so.40, compared with here")
        let daemon = try Self.fault { $0.hasDaemon = false }
        #expect(daemon.name == "Open MPI" && daemon.status == .missing)
    }

    @Test func filesThatAreNotThereAreNamed() throws {
        let configuration = try Self.fault { $0.configuration = .failed("c.yaml: absent\nand more") }
        #expect(configuration.name == "configuration" && configuration.found == "c.yaml: absent; and more")
        #expect(try Self.fault { $0.configuration = .found("x") }.status == .missing)
        let data = try Self.fault { $0.data = .failed("/data: must be a prepared folder") }
        #expect(data.name == "data" && data.status == .missing && data.advice?.hasPrefix("mount") == true)
        #expect(try Self.fault { $0.data = .found("x") }.found.hasPrefix("other prepared data"))
        #expect(try Self.fault { $0.folderProblem = "No such file or directory" }.status == .warning)
    }

    /// A caller that is none of the hosts need not have the data itself.
    @Test func dataAreComparedAmongHosts() {
        var survey = Self.survey(.facts(Self.facts(2) { $0.data = .found("x") }, offset: 0))
        survey.caller.data = .failed("absent")
        #expect(
            HostChecks.reports(survey).map { $0.checks.filter { $0.status == .missing }.map(\.name) } == [[], ["data"], []])
    }

    @Test func runFoldersThatCannotBeWrittenAreNamed() throws {
        let readOnly = try Self.fault { $0.run?.error = EROFS }
        #expect(
            readOnly.status == .missing && readOnly.found == "/runs: cannot be written: Read-only file system", "\(readOnly)")
        let full = try Self.fault {
            $0.run?.error = ENOSPC
            $0.run?.free = 0
        }
        #expect(
            full.status == .missing && full.found.hasSuffix("No space left on device") && full.advice?.contains("room") == true)
        let narrow = try Self.fault { $0.run?.free = 1 << 29 }
        #expect(
            narrow.status == .missing && narrow.found == "/runs: 512.0 MiB free, but a checkpoint takes 1.0 GiB", "\(narrow)")
        let scarce = try Self.fault { $0.run?.free = 4 << 30 }
        #expect(scarce.status == .warning && scarce.found == "/runs: 4.0 GiB free, but 5 checkpoints take 5.0 GiB", "\(scarce)")
        let other = try Self.fault { $0.run?.isShared = false }
        #expect(other.status == .missing && other.found.contains("another folder"))
    }

    // MARK: Clock, cores and memory

    @Test func clocksThatAreOffAreNamed() throws {
        let ahead = try Self.fault(offset: 3600.4) { _ in }
        #expect(ahead.name == "clock" && ahead.status == .warning && ahead.found == "3600 s ahead of the clock here")
        #expect(try Self.fault(offset: -3600) { _ in }.found == "3600 s behind the clock here")
    }

    @Test func coresThatAreTooFewAreNamed() throws {
        let one = try Self.fault { $0.cores = 1 }
        #expect(one.name == "cores" && one.status == .warning && one.found == "1 for 8 slot(s)")
        #expect(one.advice?.contains("slots in the hostfile to 1") == true)
        var survey = Self.survey(.facts(Self.facts(2) { $0.cores = 1 }, offset: 0), slots: nil)
        for index in [0, 2] { survey.hosts[index].listed.slots = 4 }
        let slower = try Self.fault(survey)
        #expect(slower.status == .warning && slower.found == "1 for 1 slot(s), where node1 has 8 for 4", "\(slower)")
    }

    @Test func memoryThatIsTooLittleIsNamed() throws {
        let fault = try Self.fault { $0.memory = 6 << 30 }
        #expect(fault.name == "memory" && fault.status == .warning)
        #expect(fault.found == "6.0 GiB available, but 8 rank(s) take about 8.0 GiB")
    }

    @Test func whatTheHostSaysOfItselfIsKept() throws {
        let check = EnvironmentCheck.warning("open files", "256 at most", do: "ulimit -n 4096")
        #expect(try Self.fault { $0.environment = [check] } == check)
    }

    // MARK: Between hosts

    private static func links(_ change: (inout HostSurvey.Link) -> Void) -> [HostSurvey.Link] {
        let names = ["node1", "node2", "node3"]
        return names.indices.flatMap { from in
            names.indices.filter { $0 != from }.map { to in
                var link = HostSurvey.Link(from: names[from], to: names[to])
                if to == (from + 1) % 3 { link.speed = 1e9 }
                change(&link)
                return link
            }
        }
    }

    private static func fault(links change: (inout HostSurvey.Link) -> Void) throws -> EnvironmentCheck {
        try fault(survey(.facts(facts(2), offset: 0), links: links(change)))
    }

    @Test func theHostOfASlowLinkIsNamed() throws {
        let slow = try Self.fault(links: { link in
            if link.speed != nil, link.from == "node2" || link.to == "node2" { link.speed = 11.8e6 }
        })
        #expect(slow.name == "link" && slow.status == .warning, "\(slow)")
        #expect(slow.found == "slow: 12 MB/s to node3, 12 MB/s from node1", "\(slow)")
        // Where others have no more than one way that could be measured, it is not theirs.
        let rest = try Self.fault(links: { link in
            if link.from == "node3" { link.speed = nil }
            if link.speed != nil { link.speed = 11.8e6 }
        })
        #expect(rest.found == slow.found, "\(rest)")
        // One direction alone: of the host that sends.
        let one = try Self.fault(links: { if $0.speed != nil, $0.from == "node2" { $0.speed = 1.2e6 } })
        #expect(one.found == "slow: 1.2 MB/s to node3", "\(one)")
        // Slower than the others, though not slow.
        #expect(try Self.fault(links: { if $0.speed != nil, $0.from == "node2" { $0.speed = 115e6 } }).status == .warning)
    }

    @Test func theHostBehindAFirewallIsNamed() throws {
        let closed = try Self.fault(links: { link in
            guard link.from == "node2" || link.to == "node2" else { return }
            (link.blocked, link.speed) = (["10.0.0.2:1024: no answer within 2 s"], nil)
        })
        #expect(closed.name == "ports" && closed.status == .missing, "\(closed)")
        #expect(
            closed.found == "node1 does not get through to 10.0.0.2:1024: no answer within 2 s; "
                + "node3 does not get through to 10.0.0.2:1024: no answer within 2 s", "\(closed)")
        // Towards it alone.
        let one = try Self.fault(links: { link in
            if link.from == "node1", link.to == "node2" { (link.blocked, link.speed) = (["10.0.0.2:1024: refused"], nil) }
        })
        #expect(one.found == "node1 does not get through to 10.0.0.2:1024: refused", "\(one)")
    }

    @Test func aHostThatDoesNotSayIsNamed() throws {
        let mute = try Self.fault(links: { link in
            if link.from == "node2" { (link.isTried, link.speed) = (false, nil) }
            if link.to == "node2" { (link.blocked, link.speed) = (["10.0.0.2:1024: Connection refused"], nil) }
        })
        #expect(mute.name == "ports" && mute.status == .missing && mute.found.hasPrefix("did not say within"), "\(mute)")
    }

    @Test func everyHostReachesEveryOther() {
        let plan = Self.survey(.facts(Self.facts(2), offset: 0)).targets()
        #expect(plan.map { $0.map(\.name) } == [["node2", "node3"], ["node3", "node1"], ["node1", "node2"]])
        #expect(plan.allSatisfy { $0.map(\.isMeasured) == [true, false] })
        #expect(plan[0][0].addresses == ["10.0.0.2"])
        let two = Self.survey(.silent(isBegun: false)).targets()
        #expect(two.map { $0.map(\.name) } == [["node3"], [], ["node1"]])
        // One host under two names.
        let twice = Self.survey(.facts(Self.facts(1), offset: 0)).targets()
        #expect(twice.map { $0.map(\.name) } == [["node3"], ["node3"], ["node1", "node2"]])
    }

    @Test func waysAreFoundByNetwork() {
        #expect(
            IPv4Address.ways(from: ["10.1.0.1/16", "192.168.0.1/24"], to: ["172.17.0.1/16", "192.168.0.7/24", "10.1.3.4/16"])
                == ["192.168.0.7", "10.1.3.4", "172.17.0.1"])
        #expect(
            IPv4Address.ways(from: ["10.1.0.1/16", "172.17.0.1/16"], to: ["172.17.0.1/16", "10.2.0.1/16"]) == ["10.2.0.1"])
        #expect(IPv4Address("10.0.0.256/24") == nil && IPv4Address("10.0.0.1/33") == nil && IPv4Address("node1") == nil)
        #expect(IPv4Address("255.1.0.9/8")?.description == "255.1.0.9/8")
    }

    // MARK: What is asked

    @Test func hostfilesAreRead() throws {
        let folder = CommandLineFolder()
        try folder.write(
            "hosts", Data("# all\nnode1 slots=8 max_slots=9\n\n  me@node2\tslots = 4 # old\nnode3\nnode1 slots=2\n".utf8))
        #expect(
            try ListedHost.read("\(folder.path)/hosts") == [
                ListedHost(name: "node1", slots: 10), ListedHost(name: "me@node2", slots: 4), ListedHost(name: "node3"),
            ])
        #expect(ListedHost(name: "me@node2").address == "node2")
        try folder.write("none", Data("# none\n".utf8))
        for name in ["none", "absent"] {
            #expect(throws: CommandFailure.self) { try ListedHost.read("\(folder.path)/\(name)") }
        }
    }

    @Test func hostsAreAskedAsMPIRunDoes() {
        let command = HostSurvey.ssh("node2", "/a b/it's", ["OMPI_MCA_plm_rsh_args": "-p 2222"])
        #expect(command.prefix(5) == ["ssh", "-p", "2222", "-o", "BatchMode=yes"])
        #expect(command.suffix(2) == ["node2", #"exec '/a b/it'\''s' doctor --host-facts"#])
        #expect(HostSurvey.ports([:]) == [1024, 0])
        let ports = ["OMPI_MCA_btl_tcp_port_min_v4": "10000", "OMPI_MCA_oob_tcp_dynamic_ipv4_ports": "10100-10200,10300"]
        #expect(HostSurvey.ports(ports) == [10_000, 10_100])
    }

    @Test func whatBelongsToHostsNeedsThem() {
        for arguments in [
            ["--config", "c.yaml"], ["--out", "runs/x"], ["--set", "a=b"], ["--hostfile", "h", "--set", "a=b"],
        ] {
            #expect(StrataCommand.run(["doctor"] + arguments) == .usage, "\(arguments)")
        }
    }
}
