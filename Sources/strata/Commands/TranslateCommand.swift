import ArgumentParser
import Evaluation
import Foundation
import Runs

/// `strata translate`: a line in, a line out.
struct TranslateCommand: ParsableCommand, RunsOnRanks {
    static let configuration = CommandConfiguration(
        commandName: "translate",
        abstract: "Translate standard input to standard output, line by line.",
        discussion: """
            Reads until the input ends. Under mpirun the first rank translates.

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
    private static let linesAtOnce = 1024

    func run() throws {
        let status = try RankWorld.run { ranks in
            let search = try ranks.together { try self.search.beamSearch() }
            let trained = try TrainedModel.load(folder, checkpoint.choice(), on: ranks)
            let direction = try ranks.together { try trained.direction(self.direction) }
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
