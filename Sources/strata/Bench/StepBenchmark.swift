import ArgumentParser
import Collectives
import Files
import Foundation
import Reporting
import Runs
import TensorCore

/// `strata bench step`: whole training updates on synthetic sentences.
struct StepBenchmark: ParsableCommand, RunsOnRanks {
    static let configuration = CommandConfiguration(
        commandName: "step",
        abstract: "Whole training updates on synthetic sentences; under mpirun on as many ranks as were started.",
        discussion: """
            Example:
              mpirun -n 2 strata bench step --config configs/bench/base.yaml
              strata bench step --set training.recompute=true --steps 5 --json
            """)

    @OptionGroup var options: BenchmarkOptions

    @Option(help: ArgumentHelp("Updates that are timed, after one that is not.", valueName: "n"))
    var steps = 10

    @Option(help: ArgumentHelp("Run this many ranks as threads of one process.", valueName: "n"))
    var simulateRanks: Int?

    @Option(help: ArgumentHelp("Write each rank's phases to a file, in Chrome's trace format.", valueName: "file"))
    var profile: String?

    @Flag(help: .json)
    var json = false

    private struct Figures: Codable {
        var tokensPerSecond: Double
        var secondsPerStep: Double
        var modelFlopsUtilization: Double
        var sgemmGflops: Double
        /// MiB, of the rank that had most.
        var peakRssMb: Double
        /// Seconds of a step by phase, of the first rank.
        var phases: [String: Double]
        var ranks: Int
        var threads: Int

        enum CodingKeys: String, CodingKey {
            case phases, ranks, threads
            case tokensPerSecond = "tokens_per_second"
            case secondsPerStep = "seconds_per_step"
            case modelFlopsUtilization = "model_flops_utilization"
            case sgemmGflops = "sgemm_gflops"
            case peakRssMb = "peak_rss_mb"
        }
    }

    func run() throws {
        let status = try RankWorld.run(simulatedRanks: simulateRanks) { ranks in
            let configuration = try ranks.together {
                try require("--steps", steps, in: 1...1_000_000)
                return try options.load()
            }
            let figures = try measure(configuration, ranks)
            if ranks.isFirst { try show(figures) }
            return .done
        }
        if status != .done { throw ExitCode(status.rawValue) }
    }

    private func measure(_ configuration: RunConfiguration, _ ranks: RankWorld) throws -> Figures {
        let training = configuration.training
        let context = ComputeContext(threads: ranks.threads(configured: configuration.parallel.threadsPerRank))
        try ranks.world.barrier()
        let peak = try ranks.world.allReduce(SgemmPeak.gflops(context), .sum)
        let run = try TrainingRun(
            configuration, vocabulary: configuration.data.vocabulary, world: ranks.world, context: context)
        let source = SyntheticSentences(
            groups: training.tokenGroups, tokensPerGroup: training.tokensPerGroup,
            vocabulary: configuration.data.vocabulary, seed: training.seed)
        let trainer = try run.trainer(on: source)
        _ = try trainer.step()
        context.clock.reset()
        context.clock.isTracing = profile != nil
        var tokens = 0
        let display = ranks.isFirst ? ProgressDisplay() : nil
        let seconds = try Stopwatch.seconds {
            for step in 1...steps {
                let metrics = try trainer.step().metrics
                tokens += metrics.targetTokens
                display?.show("step \(step)/\(steps)  \(NumberText.count(Int(metrics.tokensPerSecond))) tokens/s")
            }
        }
        if let profile { try ranks.together { try ChromeTrace.write(context.clock, to: profile, ranks) } }
        let flops = try ranks.world.allReduce(Double(context.clock.flops), .sum)
        var phases = Dictionary(
            uniqueKeysWithValues: context.clock.seconds.map { ($0.key.rawValue, $0.value / Double(steps)) })
        phases[PhaseClock.Phase.other.rawValue] = seconds / Double(steps) - phases.values.reduce(0, +)
        return Figures(
            tokensPerSecond: Double(tokens) / seconds, secondsPerStep: seconds / Double(steps),
            modelFlopsUtilization: flops / seconds / 1e9 / peak, sgemmGflops: peak,
            peakRssMb: try ranks.world.allReduce(ProcessStatus.peakResidentMebibytes, .maximum), phases: phases,
            ranks: ranks.world.size, threads: context.pool.threads)
    }

    private func show(_ figures: Figures) throws {
        if json { return print(try JSONText.pretty(figures), terminator: "") }
        print(
            "\(figures.ranks) rank(s) × \(figures.threads) thread(s): "
                + "\(NumberText.count(Int(figures.tokensPerSecond))) target tokens/s, "
                + "\(NumberText.decimal(figures.secondsPerStep, 3)) s a step")
        print(
            "model FLOPs utilization \(NumberText.decimal(100 * figures.modelFlopsUtilization, 1))% of "
                + "\(NumberText.decimal(figures.sgemmGflops, 0)) GFLOP/s sgemm; "
                + "peak memory \(NumberText.count(Int(figures.peakRssMb))) MiB a rank")
        print(
            Table(
                header: ["phase", "s a step", "share"],
                rows: figures.phases.sorted { $0.value > $1.value }.map {
                    [
                        $0.key, NumberText.decimal($0.value, 3),
                        NumberText.decimal(100 * $0.value / figures.secondsPerStep, 1) + "%",
                    ]
                }
            ).text, terminator: "")
    }
}
