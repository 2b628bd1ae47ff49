import ArgumentParser
import Benchmarks
import Foundation
import Planning
import Runs
import TensorCore

/// What a step's time is predicted from: hosts, their links, the machine's speeds.
struct StepTimeOptions: ParsableArguments {
    @Option(parsing: .unconditional, help: ArgumentHelp("Hosts, with as many ranks each (default: 1).", valueName: "n"))
    var hosts: Int?

    @Option(
        help: ArgumentHelp("What a host's link carries, such as 1gbit or 100mbit (default: as measured).", valueName: "rate"))
    var link: String?

    @Option(
        help: ArgumentHelp(
            "What strata bench machine --json has written (default: measure here, for seconds).", valueName: "file"),
        completion: .file(extensions: ["json"]))
    var machine: String?

    @Option(
        help: ArgumentHelp(
            "Loads of the experts that a gate sees: uniform, or zipf:s, the i-th in proportion to i^-s (default: uniform).",
            valueName: "law"))
    var skew: String?

    @Option(parsing: .unconditional, help: ArgumentHelp("Draws which experts are busy.", valueName: "n"))
    var seed = 1

    /// Ranks that are measured at once without a file, at most.
    private static let mostRanks = 8

    /// Whether any of them was given.
    var isAsked: Bool { hosts != nil || link != nil || machine != nil || skew != nil }

    /// What `report` makes of the model of an update's time, the hosts, and a word on where the machine's speeds come from. Loads are
    /// as `measured` where no law is given.
    func predict<Report>(
        _ plan: ModelPlan, _ configuration: RunConfiguration, ranks: Int, measured: ExpertSkew? = nil,
        _ report: (_ model: StepTimeModel, _ hosts: Int, _ source: String) throws -> Report
    ) throws -> Report {
        let hosts = hosts ?? 1
        guard hosts >= 1, ranks % hosts == 0 else { throw PlanningError.unequalHosts(ranks: ranks, hosts: hosts) }
        try require("--seed", seed, in: 0...Int.max)
        let skew = try law() ?? measured ?? .uniform
        let rate = try rate(), (figures, source) = try figures(configuration, ranksPerHost: ranks / hosts)
        return try report(
            StepTimeModel(plan, configuration, machine: figures, link: rate, skew: skew, seed: UInt64(seed)), hosts, source)
    }

    private func law() throws -> ExpertSkew? {
        guard let skew else { return nil }
        guard let law = ExpertSkew(skew) else {
            throw CommandFailure(.usage, "--skew must be uniform or zipf:s with s from 0 to 10, but is '\(skew)'")
        }
        return law
    }

    private func rate() throws -> LinkRate? {
        guard let link else { return nil }
        guard let rate = LinkRate(link) else {
            throw CommandFailure(
                .usage, "--link must be a number and kbit, mbit or gbit, such as 1gbit, from 1kbit to 1e9gbit, but is '\(link)'"
            )
        }
        return rate
    }

    /// The file's, or those of this machine with a host's ranks as threads of this process; and which they are.
    private func figures(
        _ configuration: RunConfiguration, ranksPerHost: Int
    ) throws -> (figures: MachineFigures, source: String) {
        if let machine { return (try MachineFigures(file: machine), "speeds of \(machine)") }
        let model = configuration.model, count = min(ranksPerHost, Self.mostRanks)
        try GEMM.checkTraining(in: model.compute)
        let widths = [model.dim / (model.mixture?.rowsPerToken ?? 1), model.dim]
        let benchmark = MachineBenchmark(widths: widths, precision: model.compute)
        let figures = try RankWorld.simulated(count) { ranks in
            try ranks.machineFigures(benchmark, threads: ranks.threads(configured: configuration.parallel.threadsPerRank))
        }
        return (figures, "speeds measured here, now, with \(count) rank(s) at once")
    }
}
