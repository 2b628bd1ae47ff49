import ArgumentParser
import DataPipeline
import Files
import Foundation
import Planning
import Runs

/// `strata doctor`: what of the environment is there, and what to do about what is not. A launcher may start it on many nodes:
/// each process looks at its own. With a hostfile, one process looks at all of its hosts.
struct DoctorCommand: ParsableCommand, RunsOnRanks {
    static let configuration = CommandConfiguration(
        commandName: "doctor",
        abstract: "Check processor, libraries and limits, and say what to do about what is not as it should be.",
        discussion: """
            Ends with 0 unless something required is missing. Does not start MPI. As JSON, a check has name, status (fine, \
            warning, missing), found and advice.

            With --hostfile it looks at several hosts before a run starts there, all at once and in less than 20 seconds, by \
            ssh as mpirun does: the same build and libraries, the same configuration and prepared data, a run folder that all \
            share and can write, clocks, cores and memory, the ports between them, and the speed of the links.

            Example:
              strata doctor
              strata doctor --json
              strata doctor --hostfile hosts --config configs/quickstart.yaml
            """)

    @Flag(help: .json)
    var json = false

    @Option(help: ArgumentHelp("Look at the hosts of an Open MPI hostfile instead.", valueName: "file"))
    var hostfile: String?

    @Option(
        help: ArgumentHelp(
            "With --hostfile: the configuration that each host must read, and the data it names.", valueName: "yaml"))
    var config: String?

    @OptionGroup var overrides: OverrideOptions

    @Option(
        help: ArgumentHelp("With --hostfile: the run's folder, which each host must be able to write.", valueName: "folder"))
    var out: String?

    @Flag(help: ArgumentHelp("Answer a look at several hosts, on standard output.", visibility: .hidden))
    var hostFacts = false

    func validate() throws {
        guard hostfile == nil else {
            guard config != nil || overrides.set.isEmpty else { throw ValidationError("--set needs --config") }
            return
        }
        for (option, isGiven) in [("--config", config != nil), ("--set", !overrides.set.isEmpty), ("--out", out != nil)]
        where isGiven {
            throw ValidationError("\(option) needs --hostfile, the hosts to look at")
        }
    }

    func run() throws {
        if hostFacts { return try HostProbe.run() }
        if let hostfile { return try look(at: hostfile) }
        let checks = EnvironmentChecks.all(.ofThisMachine())
        if json {
            print(try JSONText.pretty(["checks": checks]), terminator: "")
        } else {
            print(checks.map(\.text).joined(), terminator: "")
        }
        if checks.contains(where: { $0.status == .missing }) { throw ExitCode(ExitStatus.internal.rawValue) }
    }

    private struct HostsJSON: Encodable {
        let hosts: [HostReport]
        let seconds: Double
    }

    private func look(at hostfile: String) throws {
        let start = Date()
        if let out { try requirePath(out, of: "--out") }
        let hosts = try ListedHost.read(hostfile), environment = ProcessInfo.processInfo.environment
        let configuration = try config.map { try RunConfiguration.load(file: $0, overrides: overrides.set) }
        let request = HostRequest(
            folder: FileManager.default.currentDirectoryPath, configuration: config, overrides: overrides.set)
        let survey = try HostSurvey.conduct(
            hosts, program: Self.program(environment), request: request, run: out,
            needs: try configuration.map { try Self.needs($0, of: hosts) } ?? .init(), environment: environment)
        let reports = HostChecks.reports(survey), seconds = Date().timeIntervalSince(start)
        if json {
            print(try JSONText.pretty(HostsJSON(hosts: reports, seconds: seconds)), terminator: "")
        } else {
            print(reports.map(\.text).joined(), terminator: "")
            let statuses = reports.map { $0.checks.map(\.status) }
            print(
                "\(reports.count) host(s) in \((seconds * 10).rounded() / 10) s: "
                    + "\(statuses.count { $0.contains(.missing) }) not ready, "
                    + "\(statuses.count { $0.contains(.warning) && !$0.contains(.missing) }) with warnings")
        }
        if reports.contains(where: { $0.checks.contains { $0.status == .missing } }) {
            throw ExitCode(ExitStatus.internal.rawValue)
        }
    }

    /// The path of this program as it was called: the other hosts should have it there, links included.
    private static func program(_ environment: [String: String]) -> String {
        let name = CommandLine.arguments[0]
        let path = name.contains("/") ? name : SystemFacts.command(name, searchPath: environment["PATH"] ?? "") ?? name
        return path.hasPrefix("/") ? path : "\(FileManager.default.currentDirectoryPath)/\(path)"
    }

    /// What a rank and a checkpoint take, as `strata plan` has it.
    ///
    /// - Throws: what is wrong with the model.
    private static func needs(_ configuration: RunConfiguration, of hosts: [ListedHost]) throws -> HostSurvey.Needs {
        // Where there are no data, that is said of the hosts.
        let prepared = (try? PreparedCorpus(path: configuration.data.prepared))?.vocabularySize
        let plan = try ModelPlan(configuration.model, vocabulary: prepared ?? configuration.data.vocabulary)
        let copies = configuration.training.averageDecay > 0 ? 4 : 3
        let retention = configuration.checkpoint
        var needs = HostSurvey.Needs(
            checkpoint: UInt64(plan.parameters * copies * MemoryLayout<Float>.stride),
            // A new one is there before an old one goes.
            checkpoints: retention.keep + retention.keepBest + 1)
        let slots = hosts.compactMap(\.slots)
        // Ranks that cannot be laid out are for train to refuse: it may be started on fewer.
        if slots.count == hosts.count,
            let rank = try? RankPlan(
                plan, configuration, ranks: slots.reduce(0, +),
                movesWhileComputing: configuration.parallel.movesWhileComputing(hosts: hosts.count))
        {
            needs.memoryOfRank = UInt64(rank.memory.total)
        }
        return needs
    }
}
