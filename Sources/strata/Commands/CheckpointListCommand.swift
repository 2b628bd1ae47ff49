import ArgumentParser
import Checkpoints
import Files
import Foundation
import Reporting
import Runs

/// `strata checkpoint list`: one line a checkpoint.
struct CheckpointListCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "list",
        abstract: "Show the checkpoints of a run.",
        discussion: """
            A checkpoint is complete if its manifest is sound and every file has the size that it lists; strata \
            checkpoint verify also reads what is in the files. Ranks are those that wrote it; it can be loaded on any number.

            Example:
              strata checkpoint list runs/quickstart
              strata checkpoint list runs/quickstart --json
            """)

    @Argument(help: ArgumentHelp("The folder of the run.", valueName: "run"))
    var folder: String

    @Flag(help: .json)
    var json = false

    private struct Line: Encodable {
        let step: Int
        let path: String
        let date: String?
        let bytes: Int
        let ranks: Int?
        let expertParallel: Int?
        let validationLoss: Double?
        let isLatest: Bool
        let isBest: Bool
        let isComplete: Bool
        let problem: String?

        enum CodingKeys: String, CodingKey {
            case step, path, date, bytes, ranks, problem
            case expertParallel = "expert_parallel"
            case validationLoss = "validation_loss"
            case isLatest = "latest"
            case isBest = "best"
            case isComplete = "complete"
        }

        var cells: [String] {
            let marks = [isLatest ? "latest" : nil, isBest ? "best" : nil].compactMap { $0 }
            return [
                "\(step)", date ?? "-", NumberText.mebibytes(bytes),
                ranks.map { "\($0) × EP \(expertParallel ?? 1)" } ?? "-",
                validationLoss.map { NumberText.decimal($0, 4) } ?? "-",
                marks.isEmpty ? "-" : marks.joined(separator: ", "), isComplete ? "complete" : "damaged",
            ]
        }
    }

    func run() throws {
        let directory = try RunFolder(trained: folder).checkpoints
        let summaries = try CheckpointSummary.all(directory), losses = summaries.losses
        let latest = losses.keys.max(), best = CheckpointRetention.bestFirst(losses).first
        let lines = summaries.map { summary in
            Line(
                step: summary.step, path: summary.path, date: summary.date?.ISO8601Format(), bytes: summary.bytes,
                ranks: summary.manifest?.ranks, expertParallel: summary.manifest?.expertParallel,
                validationLoss: summary.manifest?.validationLoss, isLatest: summary.step == latest,
                isBest: summary.step == best,
                isComplete: summary.problem == nil, problem: summary.problem?.description)
        }
        if json {
            print(try JSONText.pretty(lines), terminator: "")
        } else if lines.isEmpty {
            print("\(directory): there is no checkpoint")
        } else {
            let header = ["update", "committed", "MiB", "ranks", "validation loss", "", "files"]
            print(Table(header: header, rows: lines.map(\.cells)).text, terminator: "")
            for line in lines { if let problem = line.problem { print(problem) } }
        }
    }
}
