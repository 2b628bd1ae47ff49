import ArgumentParser
import Foundation
import MixtureOfExperts
import Planning
import Runs

/// `strata plan`: what a configuration asks for, before anything is prepared or trained.
struct PlanCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "plan",
        abstract: "Show what a configuration asks for: parameters, operations, memory, traffic, where the experts live.",
        discussion: """
            Needs neither data nor memory: nothing is prepared, allocated or trained. Parameters are counted with a vocabulary \
            of data.vocabulary tokens. Routing is taken to be uniform, or as --run measured it.

            With --placement shows where experts would live so that fewer rows travel, after what strata analyze counted of a \
            run, and writes it with --out for parallel.placement.

            With --hosts, --link, --machine or --skew also predicts the time of an update, and proposes ranks × threads, \
            expert-parallel size and wire.

            Example:
              strata plan configs/m4/smoe-4-4.yaml --ranks 8
              strata plan configs/m4/smoe-4-4.yaml --run runs/m4 --json
              strata plan configs/m4/smoe-4-4.yaml --ranks 8 --hosts 2 --link 1gbit
              strata plan m4.yaml --ranks 4 --placement runs/m4 --out p.json
              strata plan --paper
            """)

    @Argument(help: "The configuration: a YAML file.", completion: .file(extensions: ["yaml", "yml"]))
    var config: String?

    @OptionGroup var overrides: OverrideOptions

    @Option(parsing: .unconditional, help: ArgumentHelp("The number of ranks (default: 1).", valueName: "n"))
    var ranks: Int?

    @Option(
        name: .customLong("run"),
        help: ArgumentHelp("Use the requested capacity and loads that this run measured.", valueName: "run"))
    var measuredRun: String?

    @Option(
        help: ArgumentHelp("Place experts that gates of this run chose together on one rank.", valueName: "run"))
    var placement: String?

    @Option(help: ArgumentHelp("With --placement: the file to write.", valueName: "file"))
    var out: String?

    @OptionGroup var stepTime: StepTimeOptions

    @Flag(help: "Show the models of the paper beside its figures.")
    var paper = false

    @Flag(help: .json)
    var json = false

    func run() throws {
        guard !paper else {
            guard config == nil, measuredRun == nil, placement == nil, out == nil, overrides.set.isEmpty, ranks == nil,
                !stepTime.isAsked
            else {
                throw CommandFailure(.usage, "--paper shows the paper's models: leave the configuration and other options out")
            }
            let report = try PaperReport()
            return print(json ? try report.json() : report.text, terminator: "")
        }
        guard let config else {
            throw CommandFailure(.usage, "strata plan needs a configuration, or --paper; see strata plan --help")
        }
        let ranks = ranks ?? 1
        try require("--ranks", ranks, in: 1...(stepTime.isAsked ? StepTimeModel.mostRanks : 1_000_000))
        let configuration = try RunConfiguration.load(file: config, overrides: overrides.set)
        if let placement { return try propose(configuration, ranks: ranks, RunFolder(existing: placement)) }
        guard out == nil else { throw CommandFailure(.usage, "--out is for what --placement proposes: give both") }
        let measured = try measuredRun.map { try MeasuredRouting(of: RunFolder(existing: $0), for: configuration.model) }
        let model = try ModelPlan(
            configuration.model, vocabulary: configuration.data.vocabulary, requestedCapacity: measured?.requestedCapacity,
            trained: configuration.training.trained)
        let rank = try RankPlan(
            model, configuration, ranks: ranks,
            movesWhileComputing: configuration.parallel.movesWhileComputing(hosts: stepTime.hosts ?? 1))
        var time: StepTimeReport?
        if stepTime.isAsked {
            time = try stepTime.predict(model, configuration, ranks: ranks, measured: measured?.skew) {
                try StepTimeReport($0, ranks: ranks, hosts: $1, source: $2)
            }
        }
        let report = PlanReport(model: model, rank: rank, isMeasured: measured != nil, time: time)
        print(json ? try report.json() : report.text, terminator: "")
    }

    private func propose(_ configuration: RunConfiguration, ranks: Int, _ run: RunFolder) throws {
        guard measuredRun == nil, !stepTime.isAsked else {
            throw CommandFailure(.usage, "--placement shows where experts would live: leave --run and what predicts a time out")
        }
        let layout = try ParallelLayout(
            ranks: ranks, expertParallel: configuration.parallel.expertParallel, mixture: configuration.model.mixture)
        let proposal = try PlacementProposal(of: run, for: configuration.model, layout: layout)
        if let out { try proposal.file.write(to: out) }
        print(json ? try proposal.json() : proposal.text, terminator: "")
    }
}
