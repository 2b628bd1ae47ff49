import Evaluation
import Foundation
import Reporting
import Runs

/// Runs the jobs of a sweep: each is trained, scored and analysed, unless that has been done.
public final class SweepRunner {
    /// How a job ended.
    public enum Outcome: Equatable {
        case done
        /// Stopped as asked, or not begun.
        case stopped
        /// The status that a command of it ended with, and its last words.
        case failed(status: Int32, text: String)
    }

    private enum Stage: String {
        case training, evaluating, analyzing
    }

    /// A job that a command is running for.
    private struct Active {
        let index: Int
        var stage: Stage
        var child: ChildProcess
        var record: SweepRecord
        let start = ContinuousClock.now
    }

    private let specification: SweepSpecification
    private let jobs: [SweepJob]
    private let process: StrataProcess
    private let display: ProgressDisplay
    private let isStopRequested: () -> Bool
    private let status: (any Error) -> Int32
    private var active: [Active] = []
    public private(set) var outcomes: [Outcome]

    /// `isStopRequested` tells whether the sweep is to end as soon as it can; `status` is what a command would end with that
    /// throws an error.
    public init(
        _ specification: SweepSpecification, jobs: [SweepJob], parallel: Int, display: ProgressDisplay,
        isStopRequested: @escaping () -> Bool, status: @escaping (any Error) -> Int32
    ) {
        self.specification = specification
        self.jobs = jobs
        self.display = display
        self.isStopRequested = isStopRequested
        self.status = status
        process = StrataProcess(ranks: specification.ranks, parallel: parallel)
        outcomes = jobs.map { _ in .stopped }
    }

    /// Returns when all jobs have ended, or, once a stop was asked for, those that were running.
    public func run() throws {
        for job in jobs { try job.writeConfiguration() }
        var waiting = prepareData()[...], isStopping = false
        while !active.isEmpty || (!waiting.isEmpty && !isStopping) {
            if isStopRequested(), !isStopping {
                isStopping = true
                display.note("stopping: \(active.count) job(s) are asked to end at a checkpoint")
                for job in active { job.child.stop() }
            }
            while active.count < process.parallel, !isStopping, let index = waiting.popFirst() { begin(index) }
            for ended in active.indices.reversed() where active[ended].child.hasEnded() {
                finish(active.remove(at: ended), isStopping: isStopping)
            }
            showProgress()
            usleep(20_000)
        }
    }

    /// Prepares what is not prepared yet, once for all jobs that share it; gives the jobs whose data are there.
    private func prepareData() -> [Int] {
        var outcomeOfData: [DataKey: Outcome] = [:], ready: [Int] = []
        for (index, job) in jobs.enumerated() where !isStopRequested() {
            let key = DataKey(job.configuration)
            if outcomeOfData[key] == nil {
                display.note("preparing \(job.configuration.data.prepared)")
                do { outcomeOfData[key] = try prepare(job) } catch { outcomeOfData[key] = failure(error) }
            }
            if outcomeOfData[key] == .done {
                ready.append(index)
            } else if !isStopRequested() {
                conclude(index, outcomeOfData[key] ?? .stopped)
            }
        }
        return ready
    }

    private func prepare(_ job: SweepJob) throws -> Outcome {
        let child = try StrataProcess.startAlone(["prepare", job.configurationFile], output: "/dev/null", log: job.log)
        while !child.hasEnded() {
            if isStopRequested() { child.stop() }
            usleep(5000)
        }
        let status = child.wait()
        return status == 0 ? .done : .failed(status: status, text: child.lastWords)
    }

    private struct DataKey: Hashable {
        let values: [String]

        init(_ configuration: RunConfiguration) {
            values = configuration.values.filter { $0.path.hasPrefix("data.") }.map { "\($0.path): \($0.value)" }
        }
    }

    private func begin(_ index: Int) {
        do {
            try jobs[index].checkFolder()
            var record = SweepRecord(of: jobs[index])
            if record.evaluationArguments != specification.evaluationArguments { record.evaluation = nil }
            guard let stage = nextStage(jobs[index], record) else {
                display.note("\(name(index)): done before")
                outcomes[index] = .done
                return
            }
            let child = try start(stage, jobs[index])
            display.note("\(name(index)): \(stage.rawValue)")
            active.append(Active(index: index, stage: stage, child: child, record: record))
        } catch {
            conclude(index, failure(error))
        }
    }

    private func nextStage(_ job: SweepJob, _ record: SweepRecord) -> Stage? {
        if !record.isTrained { return .training }
        if specification.evaluate != nil, record.evaluation == nil { return .evaluating }
        if specification.analyze, job.configuration.model.mixture != nil,
            record.analysisArguments != specification.analysisArguments
        {
            return .analyzing
        }
        return nil
    }

    private func start(_ stage: Stage, _ job: SweepJob) throws -> ChildProcess {
        let arguments =
            switch stage {
            case .training: ["train", job.configurationFile, "--out", job.folder.path, "--resume"]
            case .evaluating: ["evaluate", job.folder.path, "--json"] + (specification.evaluationArguments ?? [])
            case .analyzing: ["analyze", job.folder.path] + (specification.analysisArguments ?? [])
            }
        return try process.start(arguments, output: output(job), log: job.log)
    }

    private func output(_ job: SweepJob) -> String { "\(job.log).out" }

    /// A command has ended: the next one of the job begins, or the job has ended.
    private func finish(_ ended: Active, isStopping: Bool) {
        do { try goOn(from: ended, isStopping: isStopping) } catch { conclude(ended.index, failure(error)) }
    }

    private func goOn(from ended: Active, isStopping: Bool) throws {
        var job = ended
        let status = job.child.wait()
        guard status == 0 else {
            let isStopped = isStopping || status == StrataProcess.resumableStatus
            return conclude(job.index, isStopped ? .stopped : .failed(status: status, text: job.child.lastWords))
        }
        switch job.stage {
        case .training:
            // The model has changed: what was found out about an earlier one is void.
            job.record = SweepRecord(jobs[job.index].configuration)
            job.record.isTrained = true
        case .evaluating:
            let data = FileManager.default.contents(atPath: output(jobs[job.index])) ?? Data()
            guard let result = try? JSONDecoder().decode(EvaluationResult.self, from: data) else {
                throw RunError(.program, "strata evaluate printed no figures")
            }
            job.record.evaluation = result
            job.record.evaluationArguments = specification.evaluationArguments
        case .analyzing: job.record.analysisArguments = specification.analysisArguments
        }
        try job.record.write(to: jobs[job.index].recordFile)
        guard let stage = nextStage(jobs[job.index], job.record) else {
            let seconds = (ContinuousClock.now - job.start) / .seconds(1)
            display.note("\(name(job.index)): done in \(NumberText.duration(seconds)), update \(jobs[job.index].updates)")
            outcomes[job.index] = .done
            return
        }
        guard !isStopping else { return conclude(job.index, .stopped) }
        job.stage = stage
        job.child = try start(stage, jobs[job.index])
        display.note("\(name(job.index)): \(stage.rawValue)")
        active.append(job)
    }

    /// What goes wrong with one job is that job's: the others, which may be running, go on.
    private func failure(_ error: any Error) -> Outcome {
        .failed(status: status(error), text: "\(error)")
    }

    private func conclude(_ index: Int, _ outcome: Outcome) {
        outcomes[index] = outcome
        switch outcome {
        case .done: break
        case .stopped: display.note("\(name(index)): stopped at update \(jobs[index].updates)")
        case let .failed(status, text):
            display.note("\(name(index)): failed with status \(status); see \(jobs[index].log)")
            for line in text.split(separator: "\n") { display.note("  \(line)") }
        }
    }

    private func name(_ index: Int) -> String { "[\(index + 1)/\(jobs.count)] \(jobs[index].name)" }

    private func showProgress() {
        display.show(
            active.map { job in
                guard job.stage == .training, let metrics = jobs[job.index].latestMetrics else {
                    return "\(jobs[job.index].name) \(job.stage.rawValue)"
                }
                return "\(jobs[job.index].name) update \(metrics.update)/\(jobs[job.index].configuration.training.updates) "
                    + "loss \(NumberText.decimal(metrics.loss, 3))"
            }.joined(separator: " · "))
    }
}
