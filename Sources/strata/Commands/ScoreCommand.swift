import ArgumentParser
import DataPipeline
import Evaluation
import Files
import Reporting

/// `strata score`: how likely a model finds given translations.
struct ScoreCommand: ParsableCommand, RunsOnRanks {
    static let configuration = CommandConfiguration(
        commandName: "score",
        abstract: "Print the log-probability of given translations, a line a pair.",
        discussion: """
            Forced decoding: the probability of the very tokens of the translation, </s> included, in nats, over what search may \
            produce. For the reranking of lists and for contrastive test sets. Under mpirun the ranks share the text.

            Example:
              strata score runs/m4 --source a.en --target a.de --direction en-de
              strata score runs/m4 --source a --target b --direction en-de --normalize
              strata score runs/m4 --source a --target b --direction en-de --tokens
            """)

    @Argument(help: ArgumentHelp("The folder of the run, or of an export.", valueName: "run"))
    var folder: String

    @Option(help: ArgumentHelp("Text, a sentence a line.", valueName: "file"))
    var source: String

    @Option(help: ArgumentHelp("The translations to score, line by line.", valueName: "file"))
    var target: String

    @Option(help: ArgumentHelp("The translation direction, such as eng-cat.", valueName: "src-tgt"))
    var direction: String

    @Flag(help: "Let --direction be between any two languages of the model, trained together or not.")
    var zeroShot = false

    @Flag(help: "Print the mean over the tokens of a translation in place of the sum.")
    var normalize = false

    @Flag(help: "Print each token and its log-probability too, behind a tab.")
    var tokens = false

    @OptionGroup var checkpoint: CheckpointOptions

    @Flag(help: .json)
    var json = false

    /// Of a group; a longer sentence is refused.
    private static let tokensPerGroup = 4096

    func run() throws {
        let status = try RankWorld.run { ranks in
            let trained = try TrainedModel.load(folder, checkpoint.choice(), averaged: checkpoint.average, on: ranks)
            let groups = try ranks.together {
                let direction = try trained.direction(direction, untrained: zeroShot)
                return try AlignedText(source: source, target: target).groups(
                    direction, tokenizer: trained.tokenizer, tokensPerGroup: Self.tokensPerGroup)
            }
            let scores = try scores(groups, trained, on: ranks)
            guard ranks.isFirst else { return .done }
            print(json ? try JSONText.pretty(scores) : scores.map(line).joined(), terminator: "")
            return .done
        }
        if status != .done { throw ExitCode(status.rawValue) }
    }

    /// Of all pairs, in order, on every rank.
    private func scores(
        _ groups: [TokenGroup], _ trained: TrainedModel, on ranks: RankWorld
    ) throws -> [ForcedTranslations.Score] {
        let display = ranks.isFirst ? ProgressDisplay() : nil
        let mine = try ranks.together {
            try stride(from: ranks.world.rank, to: groups.count, by: ranks.world.size).map { index in
                display?.show("\(index + 1)/\(groups.count) groups")
                return try ForcedTranslations.scores(of: groups[index], trained.model, tokenizer: trained.tokenizer)
            }
        }
        let all = try ranks.gather(mine)
        return groups.indices.flatMap { all[$0 % ranks.world.size][$0 / ranks.world.size] }
    }

    private func line(_ score: ForcedTranslations.Score) -> String {
        let whole = NumberText.decimal(normalize ? score.mean : score.logProbability, 6)
        guard tokens else { return "\(whole)\n" }
        return "\(whole)\t"
            + score.tokens.map { "\($0.piece) \(NumberText.decimal($0.logProbability, 6))" }.joined(separator: "\t")
            + "\n"
    }
}
