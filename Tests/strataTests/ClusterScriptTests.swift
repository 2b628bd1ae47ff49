import Foundation
import Testing
import _TestSupport

/// `launch/cluster.sh`: hosts that are namespaces of this machine. Needs root, and more than every container gives.
@Suite struct ClusterScriptTests {
    @Test(arguments: [
        [], ["begin"], ["up"], ["up", "no"], ["up", "2", "--rate", "fast"], ["up", "2", "--slots"], ["up", "2", "--slot", "1"],
        ["exec", "1", "hostname"], ["shape", "1"], ["cut"], ["down", "1"],
    ])
    func wrongUsageEndsWith64(arguments: [String]) throws {
        let outcome = try TestCluster.script(arguments, state: "/nowhere")
        #expect(outcome.status == 64 && !outcome.stderr.isEmpty, "\(outcome)")
    }

    @Test func whatAMachineLacksIsSaid() throws {
        let folder = CommandLineFolder()
        try folder.write("uname", Data("#!/bin/sh\necho Darwin\n".utf8))
        try FileManager.default.setAttributes([.posixPermissions: 0o755], ofItemAtPath: "\(folder.path)/uname")
        let outcome = try TestCluster.script(["check"], state: "/nowhere", programs: folder.path)
        #expect(outcome.status == 70 && outcome.stderr == "cluster.sh: needs Linux, but this is Darwin\n", "\(outcome)")
    }

    /// Names, files and processes of the hosts; a link that is cut, and one that is slow.
    @Test(.enabled(if: TestCluster.isPossible, TestCluster.whyNot))
    func hostsReachEachOther() throws {
        let cluster = try TestCluster(hosts: 3, ["--slots", "2"])
        #expect(try cluster("exec", "1", "--", "ssh", "node3", "hostname").stdout == "node3\n")
        #expect(try cluster("exec", "2", "--", "bash", "-c", "exit 7").status == 7)
        let hostfile = try String(contentsOfFile: cluster.hostfile, encoding: .utf8)
        #expect(hostfile == "node1 slots=2\nnode2 slots=2\nnode3 slots=2\n")
        // A process of a host is seen there, and on no other.
        let look = "grep -lsz '^61$' /proc/[0-9]*/cmdline >/dev/null && echo seen || echo unseen"
        let seen = try cluster("exec", "2", "--", "bash", "-c", "sleep 61 & \(look); ssh node1 \"\(look)\"; kill $!")
        #expect(seen.stdout == "seen\nunseen\n", "\(seen)")

        let again = try cluster("up", "2")
        #expect(again.status == 64 && again.stderr.contains("already up: the cluster has node1 to node3"), "\(again)")

        func reaches(_ host: Int) throws -> Bool {
            try cluster("exec", "1", "--", "ssh", "-n", "-o", "ConnectTimeout=1", "node\(host)", "true").status == 0
        }
        #expect(try cluster("cut", "2").status == 0)
        #expect(try !reaches(2) && reaches(3))
        #expect(try cluster("status").stdout.contains("node2  10.0.0.2  link cut\n"))
        #expect(try cluster("heal", "2").status == 0)
        #expect(try reaches(2))

        #expect(try cluster("shape", "10mbit", "3").status == 0)
        let status = try cluster("status")
        #expect(status.stdout.contains("node1  10.0.0.1  link up\n"), "\(status)")
        #expect(status.stdout.contains("node3  10.0.0.3  link up, 10Mbit\n"), "\(status)")
        #expect(try cluster("cut", "4").status == 64)
    }

    @Test(.enabled(if: TestCluster.isPossible, TestCluster.whyNot))
    func aTrainingRunsOnTwoHosts() throws {
        let cluster = try TestCluster(hosts: 2, ["--rate", "1gbit"])
        let hosts = try cluster("run", "-n", "2", "--", "-s", environment: ["STRATA": "/bin/hostname"])
        #expect(hosts.stdout.split(separator: "\n").sorted() == ["node1", "node2"], "\(hosts)")
        let folder = CommandLineFolder()
        let trained = try cluster("run", "-n", "2", "--", "train", TinyCommandLine.configuration, "--out", "\(folder.path)/two")
        #expect(trained.status == 0 && trained.stderr.contains("; 2 rank(s) = "), "\(trained)")
        let alone = try Launch.mpirun(2).strata(["train", TinyCommandLine.configuration, "--out", "\(folder.path)/one"])
        #expect(alone.status == 0, "\(alone)")
        #expect(try folder.losses("two") == folder.losses("one"))
    }

    /// Two ranks on each host, between which rows are passed on.
    @Test(.enabled(if: TestCluster.isPossible, TestCluster.whyNot))
    func rowsArePassedOnWithinHosts() throws {
        let cluster = try TestCluster(hosts: 2, ["--slots", "2"]), folder = CommandLineFolder()
        let strata = ["--set", "model.moe.strata=[4, 5]"]
        let four = try cluster(
            "run", "-n", "4", "--", "train", TinyCommandLine.configuration, "--out", "\(folder.path)/four", "--set",
            "parallel.host_relay=on", strata[0], strata[1])
        #expect(four.status == 0 && four.stderr.contains("rows passed on within hosts, "), "\(four)")
        let alone = try Launch.mpirun(2).strata(
            ["train", TinyCommandLine.configuration, "--out", "\(folder.path)/one"] + strata)
        #expect(alone.status == 0 && !alone.stderr.contains("passed on"), "\(alone)")
        #expect(try folder.losses("four") == folder.losses("one"))
    }

    /// The links cannot be shaped: what was there by then goes.
    @Test(.enabled(if: TestCluster.isPossible, TestCluster.whyNot))
    func halfAClusterIsNone() throws {
        let folder = CommandLineFolder()
        let state = "\(folder.path)/cluster"
        try folder.write("tc", Data("#!/bin/sh\necho no such rate >&2\nexit 1\n".utf8))
        try FileManager.default.setAttributes([.posixPermissions: 0o755], ofItemAtPath: "\(folder.path)/tc")
        let outcome = try TestCluster.script(["up", "2", "--rate", "1gbit"], state: state, programs: folder.path)
        #expect(outcome.status != 0 && outcome.stderr.contains("no such rate"), "\(outcome)")
        #expect(!folder.exists("cluster"))
        #expect(try TestCluster.processes(of: state) == [])
        let down = try TestCluster.script(["down"], state: state)
        #expect(down.status == 0 && down.stdout == "no cluster is up\n", "\(down)")
    }
}
