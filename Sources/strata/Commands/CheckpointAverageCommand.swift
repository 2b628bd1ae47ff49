import ArgumentParser
import Checkpoints
import ModelSurgery
import Reporting
import Runs

/// `strata checkpoint average`: a model whose parameters are the mean of several checkpoints'.
struct CheckpointAverageCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "average",
        abstract: "Export the mean of several checkpoints of a run.",
        discussion: """
            Every parameter is the mean of what it is in the checkpoints, computed in double precision, a piece at a time. The \
            folder is what strata export writes; strata translate and strata evaluate take it in place of a run. A \
            checkpoint that is damaged is refused: the mean would be another.

            Example:
              strata checkpoint average runs/quickstart --last 3
              strata checkpoint average runs/quickstart --steps 5,10 --out exports/mean
            """)

    @Argument(help: ArgumentHelp("The folder of the run.", valueName: "run"))
    var folder: String

    @Option(parsing: .unconditional, help: ArgumentHelp("Average this many of the newest checkpoints.", valueName: "n"))
    var last: Int?

    @Option(help: ArgumentHelp("Average the checkpoints of these updates.", valueName: "update,update"))
    var steps: String?

    @Option(help: ArgumentHelp("The folder to be made (default: average, in the run's).", valueName: "folder"))
    var out: String?

    func run() throws {
        let out = out ?? "\(folder)/average"
        try requirePath(out, of: "--out")
        let run = try RunFolder(trained: folder)
        try requireNew(out)
        let (chosen, models) = try open(run)
        let bytes = try ModelExport.write(.average(models), to: out)
        print(
            "mean of updates \(chosen.map(String.init).joined(separator: ", ")), \(NumberText.mebibytes(bytes)) MiB, in \(out)")
    }

    /// The checkpoints that the options name. Of the newest, a training may remove one before it is open: then there are others.
    private func open(_ run: RunFolder) throws -> ([Int], [StoredModel]) {
        while true {
            let chosen = try chosenSteps(CheckpointStore.steps(run.checkpoints), run)
            do {
                return (chosen, try chosen.map { try StoredModel(CheckpointStore.open(run.checkpoints, .step($0)), of: run) })
            } catch CheckpointError.absent where last != nil {
                continue
            }
        }
    }

    /// The updates that the options name, of those that there are.
    private func chosenSteps(_ present: [Int], _ run: RunFolder) throws -> [Int] {
        switch (last, steps) {
        case (nil, nil), (_?, _?):
            throw CommandFailure(
                .usage,
                "strata checkpoint average needs --last N or --steps A,B, one of them; see strata checkpoint average --help")
        case let (last?, nil):
            guard last >= 2 else { throw CommandFailure(.usage, "--last must be at least 2, but is \(last)") }
            guard last <= present.count else {
                throw CommandFailure(
                    .usage, "--last must be at most the checkpoints in \(run.checkpoints), \(present.count), but is \(last)")
            }
            return present.suffix(last)
        case let (nil, steps?):
            let fields = steps.split(separator: ",", omittingEmptySubsequences: false)
            let chosen = fields.compactMap { Int($0) }.filter { $0 >= 0 }
            guard chosen.count == fields.count, chosen.count >= 2, Set(chosen).count == chosen.count else {
                throw CommandFailure(
                    .usage, "--steps must be two or more different updates with commas between them, but is \(steps)")
            }
            return chosen
        }
    }
}
