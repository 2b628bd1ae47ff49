import ArgumentParser
import Collectives
import DataPipeline
import Evaluation
import Foundation
import Reporting
import Runs

/// `strata translate`: a line in, a line out.
struct TranslateCommand: ParsableCommand, RunsOnRanks {
    static let configuration = CommandConfiguration(
        commandName: "translate",
        abstract: "Translate standard input to standard output, line by line.",
        discussion: """
            What has arrived is translated when nothing more waits to be read. Every line gives a line, an empty one for an \
            empty one. Several runs of one tokenizer are an ensemble. Under mpirun the ranks share the sentences; with \
            --spread-experts also the experts, for a model that is too large for one.

            Example:
              echo "forty-two" | strata translate runs/quickstart --direction eng-cat
              strata translate runs/a runs/b --direction en-de --n-best 5 <in.txt
            """)

    @Argument(help: ArgumentHelp("The folder of a run, or of an export; several: an ensemble.", valueName: "run"))
    var folders: [String]

    @Option(help: ArgumentHelp("The translation direction, such as eng-cat.", valueName: "src-tgt"))
    var direction: String

    @Option(
        help: ArgumentHelp(
            "Read this file, decompressed if it ends in .gz or .zst, instead of standard input.", valueName: "path"))
    var sourceFile: String?

    @Option(help: ArgumentHelp("Write to this file instead of standard output.", valueName: "path"))
    var outputFile: String?

    @Flag(help: "Show lines a second, and the time left if a file is read, on standard error; a terminal has it without.")
    var progress = false

    @OptionGroup var spread: SpreadOptions

    @OptionGroup var checkpoint: CheckpointOptions

    @OptionGroup var options: TranslationOptions

    /// Lines of a rank that are translated together: enough to sort them by length, few enough that output follows input.
    private static let linesAtOnce = 1024

    func run() throws {
        let status = try RankWorld.run { ranks in
            let (search, precision) = try ranks.together {
                guard !spread.spreadExperts || folders.count == 1 && !options.replaceUnknowns else {
                    throw CommandFailure(
                        .usage, "--spread-experts must be left out with an ensemble and with --replace-unknowns")
                }
                return (try options.chosen(), try options.precision())
            }
            let models = try folders.map {
                try TrainedModel.load(
                    $0, checkpoint.choice(), averaged: checkpoint.average, on: ranks, precision: precision,
                    spreadsExperts: spread.spreadExperts)
            }
            let direction = try ranks.together {
                try requireOneTokenizer()
                return try models[0].direction(self.direction)
            }
            let tokenizer = models[0].tokenizer
            let contrast = try ranks.together { try options.search.contrast(of: models) }
            let translator = Translator(
                models: models.map(\.model), tokenizer: tokenizer, search: search, contrast: contrast,
                batchTokens: options.batchTokens, expertGroup: models[0].expertGroup)
            let replacement =
                options.replaceUnknowns
                ? UnknownReplacement(model: models[0].model, tokenizer: tokenizer, language: direction.target) : nil
            try translate(
                SharedTranslation(translator: translator, language: direction.target, ranks: ranks), tokenizer, replacement)
            return .done
        }
        if status != .done { throw ExitCode(status.rawValue) }
    }

    private func translate(
        _ shared: SharedTranslation, _ tokenizer: Tokenizer, _ replacement: UnknownReplacement?
    ) throws {
        let ranks = shared.ranks
        let files: (source: SourceLines, target: TargetLines)? = try ranks.together {
            guard ranks.isFirst else { return nil }
            return (try SourceLines(path: sourceFile), try TargetLines(path: outputFile, options))
        }
        let display =
            ranks.isFirst && (progress || isatty(STDERR_FILENO) == 1 && isatty(STDIN_FILENO) == 0) ? ProgressDisplay() : nil
        let speed = TranslationSpeed(sourceFile: sourceFile)
        while true {
            let first = files?.source.count ?? 0
            let sentences = try ranks.together {
                try files?.source.next(
                    atMost: Self.linesAtOnce * ranks.world.size, tokenizer, longest: Translator.longestSource) ?? []
            }
            guard try shared.agreed(!sentences.isEmpty) else { break }
            let found = try shared.translations(of: sentences, firstNumber: first) { _ in }
            try ranks.together {
                guard let files else { return }
                try files.target.write(found) { n, tokens in
                    try replacement?.text(of: tokens, source: files.source.texts[n]) ?? tokenizer.decode(tokens)
                }
                display?.show(speed.text(lines: files.source.count, bytes: files.source.bytes))
            }
        }
        if let files {
            files.source.warnAtEnd()
            display?.note(speed.text(lines: files.source.count, bytes: files.source.bytes))
        }
    }

    /// Models of an ensemble speak of the same tokens.
    private func requireOneTokenizer() throws {
        let contents = folders.map { FileManager.default.contents(atPath: RunFolder(path: $0).tokenizer) }
        for (folder, content) in zip(folders, contents) where content != contents[0] {
            throw CommandFailure(
                .usage, "\(folder): must have the tokenizer of \(folders[0]) to be of one ensemble, but has another one")
        }
    }
}

/// How fast lines are translated, and how long those of a file will take.
struct TranslationSpeed {
    private let start = ContinuousClock.now
    /// Bytes of the file; nil where they say nothing of its lines.
    private let size: Int?

    init(sourceFile: String?) {
        let path = sourceFile.flatMap { $0.hasSuffix(".gz") || $0.hasSuffix(".zst") ? nil : $0 }
        size = path.flatMap { (try? FileManager.default.attributesOfItem(atPath: $0))?[.size] as? Int }
    }

    func text(lines: Int, bytes: Int) -> String {
        let seconds = max((ContinuousClock.now - start) / .seconds(1), 1e-3)
        let text = "\(lines) lines  \(NumberText.decimal(Double(lines) / seconds, 1)) lines/s"
        guard let size, bytes > 0, bytes < size else { return text }
        let left = Int((seconds / Double(bytes) * Double(size - bytes)).rounded())
        return text + "  \(left / 60)m\(left % 60 < 10 ? "0" : "")\(left % 60)s left"
    }
}
