import Foundation
import Testing
import _TestSupport

/// A cluster in a box for one test, taken down with it.
final class TestCluster {
    private let folder = CommandLineFolder()
    var state: String { "\(folder.path)/cluster" }

    var hostfile: String { "\(state)/hostfile" }

    /// Hosts node1, node2, …; `options` are those of `up`.
    init(hosts: Int, _ options: [String] = []) throws {
        let outcome = try Self.script(["up", "\(hosts)"] + options, state: state)
        try #require(outcome.status == 0, "\(outcome)")
    }

    deinit {
        let down = try? self("down")
        #expect(down?.status == 0, "\(String(describing: down))")
        // What was killed may take a moment to go where the processors are busy.
        var left = try? Self.processes(of: state)
        for _ in 0..<50 where left != [] {
            Thread.sleep(forTimeInterval: 0.1)
            left = try? Self.processes(of: state)
        }
        #expect(left == [])
        #expect(!folder.exists("cluster"))
    }

    /// A command of the script.
    @discardableResult
    func callAsFunction(
        _ arguments: String..., environment: [String: String] = [:], timeout: Double = 60
    ) throws -> Subprocess.Outcome {
        try Self.script(arguments, state: state, environment: environment, timeout: timeout)
    }

    static let launch = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
        .deletingLastPathComponent().appendingPathComponent("launch").path

    static func script(
        _ arguments: [String], state: String, programs: String? = nil, environment: [String: String] = [:], timeout: Double = 60
    ) throws -> Subprocess.Outcome {
        var variables = ["STRATA": try BuiltProducts.path("strata"), "STRATA_CLUSTER": state]
        if let programs { variables["PATH"] = "\(programs):\(ProcessInfo.processInfo.environment["PATH"] ?? "")" }
        let outcome = try Subprocess.run(
            "\(launch)/cluster.sh", arguments, environment: variables.merging(environment) { $1 }, timeout: timeout)
        #expect(!outcome.timedOut, "\(arguments): \(outcome)")
        return outcome
    }

    /// The processes that have the cluster's folder among their arguments.
    static func processes(of state: String) throws -> [String] {
        try FileManager.default.contentsOfDirectory(atPath: "/proc").filter { name in
            guard Int(name) != nil, let data = FileManager.default.contents(atPath: "/proc/\(name)/cmdline") else {
                return false
            }
            return String(decoding: data, as: UTF8.self).contains(state)
        }
    }

    private static let check = Result { try script(["check"], state: "/nowhere") }

    /// Whether this machine can have such a cluster.
    static var isPossible: Bool { (try? check.get().status) == 0 }

    static var whyNot: Comment {
        switch check {
        case let .success(outcome): "\(outcome.stderr)"
        case let .failure(error): "\(error)"
        }
    }
}
