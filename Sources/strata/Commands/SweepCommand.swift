import ArgumentParser
import Files
import Foundation
import MPICollectives
import Reporting
import Sweeps

/// `strata sweep`: several runs, each with several seeds, and one table of what they came to.
struct SweepCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "sweep",
        abstract: "Train and score several configurations, each with several seeds, and compare them.",
        discussion: """
            The specification is YAML:
              name: strata-or-not
              out: runs/strata-or-not  # of runs, logs and summary.{md,csv,json}
              base: quickstart.yaml    # a configuration, relative to this file
              runs:
                - {name: vanilla, set: [model.moe.strata=8]}
                - {name: smoe-4-4, set: ["model.moe.strata=[4, 4]"]}
                - {name: dense, config: dense.yaml}
              seeds: [1, 2]
              ranks: 2                 # under mpirun; 1: no mpirun
              threads: auto            # of a rank
              evaluate: {split: test}  # or none; beam, limit
              analyze: true

            Data are prepared where they are not. Started again, it goes on where it stopped: runs that are done are left as \
            they are, others resumed. A run that fails is reported, and the others go on. SIGTERM, SIGUSR1 or Ctrl-C stop it, with \
            status 75, once the runs under way have written a checkpoint.

            Example:
              strata sweep configs/sweeps/quickstart.yaml
            """)

    @Argument(help: "The specification: a YAML file.", completion: .file(extensions: ["yaml", "yml"]))
    var spec: String

    @Option(parsing: .unconditional, help: ArgumentHelp("Runs at a time.", valueName: "n"))
    var parallel = 1

    func run() throws {
        guard !MPIEnvironment.isLaunchedByMPI else {
            throw CommandFailure(.usage, "strata sweep starts mpirun itself: leave it out, and give ranks in the specification")
        }
        guard (1...1024).contains(parallel) else {
            throw CommandFailure(.usage, "--parallel must be 1 to 1024, but is \(parallel)")
        }
        let specification = try SweepSpecification.load(file: spec)
        let cores = ProcessInfo.processInfo.activeProcessorCount
        // Jobs that run side by side do not know of each other.
        let share = parallel > 1 ? max(1, cores / (parallel * specification.ranks)) : nil
        let jobs = try SweepJob.jobs(specification, file: spec, threads: specification.threads ?? share)
        StopRequest.listen()
        let display = ProgressDisplay()
        let runner = SweepRunner(
            specification, jobs: jobs, parallel: parallel, display: display, isStopRequested: { StopRequest.isMade },
            status: { ExitStatus(for: $0).rawValue })
        try runner.run()
        let summary = try SweepSummary(specification, jobs: jobs, outcomes: runner.outcomes)
        try write(summary, to: specification.out)
        try report(zip(jobs, runner.outcomes).filter { $0.1 == .done }.map(\.0), to: specification.out, display)
        print(summary.text, terminator: "")
        try end(runner.outcomes, jobs)
    }

    private func write(_ summary: SweepSummary, to folder: String) throws {
        for (name, text) in [("md", summary.markdown), ("csv", summary.csv), ("json", try summary.json())] {
            try FileWriter.write(text, to: "\(folder)/summary.\(name)")
        }
    }

    /// The status of the first failure, or 75 if something is left to be done.
    private func end(_ outcomes: [SweepRunner.Outcome], _ jobs: [SweepJob]) throws {
        for case let .failed(status, _) in outcomes {
            throw ExitCode((ExitStatus(rawValue: status) ?? .internal).rawValue)
        }
        if outcomes.contains(.stopped) { throw ExitCode(ExitStatus.resumable.rawValue) }
    }

    /// One page about all runs that are done.
    private func report(_ jobs: [SweepJob], to folder: String, _ display: ProgressDisplay) throws {
        guard !jobs.isEmpty else { return }
        let page = "\(folder)/report.html", log = "\(folder)/logs/report.log"
        let child = try StrataProcess.startAlone(
            ["report"] + jobs.map(\.folder.path) + ["--out", page], output: "/dev/null", log: log)
        display.note(child.wait() == 0 ? "report: \(page)" : "strata report failed; see \(log)")
    }
}
