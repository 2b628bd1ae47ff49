import Collectives
import Reporting
import Runs
import TensorCore

/// Whole training updates on synthetic sentences.
public struct StepBenchmark {
    let configuration: RunConfiguration
    /// Updates that are timed, after one that is not.
    let steps: Int
    /// The file for the phases of each rank, in Chrome's trace format; nil: none.
    let profile: String?

    public init(_ configuration: RunConfiguration, steps: Int, profile: String?) {
        self.configuration = configuration
        self.steps = steps
        self.profile = profile
    }

    public struct Figures: Encodable {
        var tokensPerSecond: Double
        var secondsPerStep: Double
        var modelFlopsUtilization: Double
        /// Of large products in the model's precision.
        var sgemmGflops: Double
        /// Rows of a gate's busiest expert over the mean of those that it sees: the mean over gates and steps; 0 without experts.
        var loadViolation: Double
        /// MiB, of the rank that had most.
        var peakRssMb: Double
        /// Seconds of a step by phase, of the first rank.
        var phases: [String: Double]
        var ranks: Int
        var threads: Int
        /// What products are computed in.
        var compute: String

        enum CodingKeys: String, CodingKey {
            case phases, ranks, threads, compute
            case tokensPerSecond = "tokens_per_second"
            case secondsPerStep = "seconds_per_step"
            case modelFlopsUtilization = "model_flops_utilization"
            case sgemmGflops = "sgemm_gflops"
            case loadViolation = "load_violation"
            case peakRssMb = "peak_rss_mb"
        }
    }

    /// A collective operation. `host` is the name of this rank's, `threads` are each rank's; `writeTrace` writes the file of `profile` on
    /// all ranks, and `display`, the first rank's, shows how far it is.
    public func measure(
        _ world: any Communicator, host: String, threads: Int, display: ProgressDisplay?,
        writeTrace: (_ clock: PhaseClock, _ path: String) throws -> Void
    ) throws -> Figures {
        let training = configuration.training
        let context = ComputeContext(threads: threads)
        try world.barrier()
        let peak = try world.allReduce(SgemmPeak.gflops(context, precision: configuration.model.compute), .sum)
        let run = try TrainingRun(
            configuration, vocabulary: configuration.data.vocabulary, world: world, host: host, context: context)
        let source = SyntheticSentences(
            groups: training.tokenGroups, tokensPerGroup: training.tokensPerGroup,
            vocabulary: configuration.data.vocabulary, seed: training.seed)
        let trainer = try run.trainer(on: source)
        _ = try trainer.step()
        context.clock.reset()
        context.clock.isTracing = profile != nil
        var tokens = 0, violations: [Double] = []
        let seconds = try Stopwatch.seconds {
            for step in 1...steps {
                let metrics = try trainer.step().metrics
                tokens += metrics.targetTokens
                violations += metrics.loadViolation.joined()
                display?.show("step \(step)/\(steps)  \(NumberText.count(metrics.tokensPerSecond)) tokens/s")
            }
        }
        if let profile { try writeTrace(context.clock, profile) }
        let flops = try world.allReduce(Double(context.clock.flops), .sum)
        var phases = Dictionary(
            uniqueKeysWithValues: context.clock.seconds.map { ($0.key.rawValue, $0.value / Double(steps)) })
        phases[PhaseClock.Phase.other.rawValue] = seconds / Double(steps) - phases.values.reduce(0, +)
        return Figures(
            tokensPerSecond: Double(tokens) / seconds, secondsPerStep: seconds / Double(steps),
            modelFlopsUtilization: flops / seconds / 1e9 / peak, sgemmGflops: peak,
            loadViolation: violations.reduce(0, +) / Double(max(violations.count, 1)),
            peakRssMb: try world.allReduce(ProcessStatus.peakResidentMebibytes, .maximum), phases: phases,
            ranks: world.size, threads: context.pool.threads, compute: configuration.model.compute.rawValue)
    }
}

extension StepBenchmark.Figures {
    public var text: String {
        let speed =
            "\(ranks) rank(s) × \(threads) thread(s): \(NumberText.count(tokensPerSecond)) target tokens/s, "
            + "\(NumberText.decimal(secondsPerStep, 3)) s a step\n"
        let utilization =
            "model FLOPs utilization \(NumberText.decimal(100 * modelFlopsUtilization, 1))% of "
            + "\(NumberText.decimal(sgemmGflops, 0)) GFLOP/s of large products in \(compute); "
            + "peak memory \(NumberText.count(peakRssMb)) MiB per rank\n"
        let table = Table(
            header: ["phase", "s a step", "share"],
            rows: phases.sorted { $0.value > $1.value }.map {
                [$0.key, NumberText.decimal($0.value, 3), NumberText.decimal(100 * $0.value / secondsPerStep, 1) + "%"]
            })
        return speed + utilization + table.text
    }
}
