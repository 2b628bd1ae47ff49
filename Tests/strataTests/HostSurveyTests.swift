import Foundation
import Testing
import _TestSupport

@testable import strata

/// `strata doctor --hostfile` on hosts that are namespaces of this machine, each of which has something that it should not.
@Suite struct HostSurveyTests {
    /// What of a host is not fine.
    private struct Fault: Equatable {
        let host: String
        let check: EnvironmentCheck
    }

    private struct Output: Decodable {
        struct Host: Decodable {
            let host: String
            let checks: [EnvironmentCheck]
        }

        let hosts: [Host]
        let seconds: Double
    }

    /// A cluster, and a program and a run folder of the test's own that a host may hide from the others.
    private final class Bench {
        let cluster: TestCluster, folder = CommandLineFolder()
        private let program: String

        init(hosts: Int, _ options: [String] = []) throws {
            cluster = try TestCluster(hosts: hosts, options)
            program = try BuiltProducts.path("strata")
            try FileManager.default.createDirectory(atPath: "\(folder.path)/run", withIntermediateDirectories: true)
            try folder.write("strata", Data())
            // Another build on one host is another file over this one, on that host alone.
            for host in 1...hosts { try on(host, "mount --bind '\(program)' \(folder.path)/strata") }
        }

        /// Does something on a host, in the shell.
        func on(_ host: Int, _ script: String) throws {
            let outcome = try cluster(
                "exec", "\(host)", "--", "bash", "-c", "set -e; \(script)", environment: ["PROGRAM": program])
            try #require(outcome.status == 0, "\(script): \(outcome)")
        }

        /// Hides a folder on a host behind an empty one.
        func hide(_ path: String, _ host: Int, options: String = "size=1m") throws {
            try on(host, "mount -t tmpfs -o \(options) tmpfs '\(path)'")
        }

        func look(hostfile: String? = nil, _ options: [String] = []) throws -> Subprocess.Outcome {
            let outcome = try TestCluster.script(
                [
                    "exec", "1", "--", "\(folder.path)/strata", "doctor", "--hostfile", hostfile ?? cluster.hostfile,
                    "--config",
                    TinyCommandLine.configuration, "--out", "\(folder.path)/run/new",
                ] + options, state: cluster.state)
            // 70 where something is missing; else warnings at most.
            #expect([0, 70].contains(outcome.status), "\(outcome)")
            return outcome
        }

        /// What is not fine, but for what a machine of the tests may lack itself: time for the links, too, unless they are shaped.
        func faults(hostfile: String? = nil, ofLinks: Bool = false) throws -> [Fault] {
            let outcome = try look(hostfile: hostfile, ["--json"])
            let output = try JSONDecoder().decode(Output.self, from: Data(outcome.stdout.utf8))
            #expect(output.seconds < 20)
            let found = output.hosts.flatMap { host in
                host.checks.filter { $0.status != .fine }.map { Fault(host: host.host, check: $0) }
            }
            #expect(outcome.status == (found.contains { $0.check.status == .missing } ? 70 : 0), "\(outcome)")
            let own: Set = [
                "processor", "OpenBLAS", "BLAS threads", "SentencePiece", "memory", "transparent huge pages", "shared memory",
                "open files",
            ]
            return found.filter { !own.contains($0.check.name) && (ofLinks || $0.check.name != "link") }
        }
    }

    /// Each fault is of this host and check alone.
    private static func expect(_ faults: [Fault], _ host: String, _ name: String, _ text: String) {
        #expect(
            faults.contains { $0.host == host && $0.check.name == name && $0.check.found.contains(text) },
            "\(host): \(name): \(text) is not in \(faults)")
    }

    @Test(.enabled(if: TestCluster.isPossible, TestCluster.whyNot))
    func goodHostsAreFine() throws {
        let bench = try Bench(hosts: 2)
        #expect(try bench.faults() == [])
        let text = try bench.look().stdout
        for host in ["node1", "node2"] { #expect(text.contains("✓ \(host): build \(programVersion) ("), "\(text)") }
        #expect(text.contains(" MB/s to node2") && text.contains(" MB/s to node1"), "\(text)")
        // It leaves nothing in the folder.
        #expect(try bench.folder.names("run") == [])
    }

    /// Hosts that are not reached, or on which the program does not run, side by side with one that is as it should be.
    @Test(.enabled(if: TestCluster.isPossible, TestCluster.whyNot))
    func hostsThatDoNotAnswerAreNamed() throws {
        let bench = try Bench(hosts: 8)
        // Without a listener the port refuses; what is connected goes on.
        try bench.on(2, "kill $(cat /proc/[0-9]*/stat | sed -n 's/^\\([0-9]*\\) (sshd).*/\\1/p')")
        try bench.on(
            3, "ssh-keygen -q -t ed25519 -N '' -f /run/other; mount --bind /run/other.pub \(bench.cluster.state)/key.pub")
        try bench.on(4, "cp \"$PROGRAM\" /run/strata; echo >>/run/strata; mount --bind /run/strata \(bench.folder.path)/strata")
        try bench.on(5, "mount --bind /dev/null $(ldd \"$PROGRAM\" | sed -n 's/.*libsentencepiece.so.* => \\(.*\\) (.*/\\1/p')")
        try bench.cluster("cut", "6")
        try bench.on(7, "umount \(bench.folder.path)/strata")
        try bench.folder.write(
            "hosts", try Data(contentsOf: URL(fileURLWithPath: bench.cluster.hostfile)) + Data("node9 slots=1\n".utf8))
        let faults = try bench.faults(hostfile: "\(bench.folder.path)/hosts")
        Self.expect(faults, "node2", "ssh", "refused")
        Self.expect(faults, "node3", "ssh", "Permission denied")
        Self.expect(faults, "node4", "build", "but \(programVersion) (")
        Self.expect(faults, "node5", "libraries", "error while loading shared libraries: ")
        Self.expect(faults, "node5", "libraries", "libsentencepiece.so")
        Self.expect(faults, "node6", "ssh", "node6")
        Self.expect(faults, "node7", "build", "/strata")
        Self.expect(faults, "node9", "ssh", "Could not resolve hostname node9")
        #expect(Set(faults.map(\.host)) == ["node2", "node3", "node4", "node5", "node6", "node7", "node9"], "\(faults)")
        #expect(faults.count == 7, "\(faults)")
    }

    /// Files that a host does not have or cannot write, a clock that is off, and a core that is too few.
    @Test(.enabled(if: TestCluster.isPossible, TestCluster.whyNot))
    func hostsThatLackSomethingAreNamed() throws {
        let bench = try Bench(hosts: 6, ["--slots", "2"])
        let run = "\(bench.folder.path)/run"
        try bench.hide(TinyCommandLine.data, 2)
        try bench.on(3, "mount --bind \(run) \(run); mount -o remount,ro,bind \(run)")
        try bench.hide(run, 4)
        try bench.on(4, "head -c 2m /dev/zero >\(run)/full 2>/dev/null || true")
        // The real program, whose answer is changed on its way: its first line has the clock.
        let wrapper = """
            #!/bin/bash
            "\(try BuiltProducts.path("strata"))" "$@" | while IFS= read -r line; do
              [[ $line =~ ^(.*clock\\":)([0-9]+)(.*)$ ]] && line=${BASH_REMATCH[1]}$((BASH_REMATCH[2] + 3600))${BASH_REMATCH[3]}
              printf '%s\\n' "$line"
            done
            """
        try bench.folder.write("wrapper", Data(wrapper.utf8))
        try bench.on(
            5, "chmod +x \(bench.folder.path)/wrapper; mount --bind \(bench.folder.path)/wrapper \(bench.folder.path)/strata")
        // A session has the cores of the daemon that it comes from.
        try bench.on(6, "taskset -cp 0 $(cat /proc/[0-9]*/stat | sed -n 's/^\\([0-9]*\\) (sshd).*/\\1/p')")
        let faults = try bench.faults()
        Self.expect(faults, "node2", "data", "must be a prepared folder")
        Self.expect(faults, "node3", "run folder", "Read-only file system")
        Self.expect(faults, "node4", "run folder", "No space left on device")
        Self.expect(faults, "node5", "clock", "s ahead of the clock here")
        Self.expect(faults, "node6", "cores", "1 for 2 slot(s)")
        let others = faults.filter { $0.check.name != "cores" }
        #expect(others.map(\.host) == ["node2", "node3", "node4", "node5"], "\(others)")
    }

    /// A slow link, and a firewall that lets ssh pass.
    @Test(.enabled(if: TestCluster.isPossible, TestCluster.whyNot))
    func whatIsBetweenHostsIsNamed() throws {
        let bench = try Bench(hosts: 4)
        try bench.cluster("shape", "10mbit", "2")
        // Rules on ports are looked at before the table of the host's own addresses, which is moved behind them.
        try bench.on(
            4,
            "ip rule add pref 5 lookup local; ip rule add pref 1 iif eth0 ipproto tcp dport 1024-65534 blackhole; "
                + "ip rule del pref 0")
        let faults = try bench.faults(ofLinks: true)
        Self.expect(faults, "node2", "link", " MB/s to node3, ")
        Self.expect(faults, "node4", "ports", "node1 does not get through to 10.0.0.4:1024: no answer within 2 s")
        #expect(faults.count == 2, "\(faults)")
    }

    @Test(.enabled(if: TestCluster.isPossible, TestCluster.whyNot))
    func runScriptLooksWithTheCommandsFiles() throws {
        let bench = try Bench(hosts: 2)
        let outcome = try bench.cluster(
            "run", "--check", "--", "train", TinyCommandLine.configuration, "--out", "\(bench.folder.path)/run/new", "--set",
            "training.updates=3", environment: ["STRATA": "\(bench.folder.path)/strata"])
        #expect(outcome.status == 0 && outcome.stdout.contains("configuration the same"), "\(outcome)")
        #expect(outcome.stdout.contains("2 host(s) in "), "\(outcome)")
        #expect(try bench.folder.names("run") == [])
    }
}
