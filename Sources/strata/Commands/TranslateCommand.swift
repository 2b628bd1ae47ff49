import ArgumentParser
import Evaluation
import Foundation

/// `strata translate`: a line in, a line out.
struct TranslateCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "translate",
        abstract: "Translate standard input to standard output, line by line.",
        discussion: """
            Example:
              echo "forty-two" | strata translate runs/quickstart --direction eng-cat
            """)

    @Argument(help: ArgumentHelp("The folder of the run, or of an export.", valueName: "run"))
    var folder: String

    @Option(help: ArgumentHelp("The translation direction, such as eng-cat.", valueName: "src-tgt"))
    var direction: String

    @OptionGroup var checkpoint: CheckpointOptions

    @OptionGroup var search: SearchOptions

    /// Lines translated together: enough for one batch of products, few enough that output follows input.
    private static let linesAtOnce = 64

    func run() throws {
        let status = try RankWorld.run { ranks in
            let search = try ranks.together { try self.search.beamSearch() }
            let alone = try ranks.alone()
            let (trained, direction) = try ranks.together {
                let trained = try TrainedModel(RunFolder(existing: folder), checkpoint.choice(), ranks: ranks, alone: alone)
                return (trained, try trained.direction(self.direction))
            }
            let translator = Translator(model: trained.model, tokenizer: trained.tokenizer, search: search)
            guard ranks.isFirst else { return .done }
            var lines: [String] = []
            func translate() throws {
                let text = try translator.translate(lines, to: direction.target).map { $0 + "\n" }.joined()
                try FileHandle.standardOutput.write(contentsOf: Data(text.utf8))
                lines = []
            }
            let isInteractive = isatty(STDIN_FILENO) == 1
            while let line = readLine() {
                lines.append(line)
                if isInteractive || lines.count == Self.linesAtOnce { try translate() }
            }
            if !lines.isEmpty { try translate() }
            return .done
        }
        if status != .done { throw ExitCode(status.rawValue) }
    }
}

/// How translations are searched for.
struct SearchOptions: ParsableArguments {
    @Option(help: "Hypotheses a sentence; 1 is greedy search.")
    var beam = 5

    @Option(help: "Scores are log-probabilities over length to this power.")
    var lengthPenalty: Float = 1

    /// - Throws: `CommandFailure` for values that are out of range.
    func beamSearch() throws -> BeamSearch {
        guard (1...64).contains(beam) else { throw CommandFailure(.usage, "--beam must be 1 to 64, but is \(beam)") }
        guard lengthPenalty.isFinite, (0...10).contains(lengthPenalty) else {
            throw CommandFailure(.usage, "--length-penalty must be 0 to 10, but is \(lengthPenalty)")
        }
        return BeamSearch(beam: beam, lengthPenalty: lengthPenalty)
    }
}
