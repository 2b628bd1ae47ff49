import ArgumentParser
import Evaluation

/// What translations are scored by, beside chrF2 and exact match.
struct MetricOptions: ParsableArguments {
    @Option(
        help: ArgumentHelp(
            "BLEU's tokens: 13a, zh, char, intl or flores200 (default: zh for Chinese, char for Japanese, Korean and other "
                + "scripts without spaces, else 13a).", valueName: "name"))
    var tokenizer: String?

    @Option(help: ArgumentHelp("The SentencePiece model of --tokenizer flores200.", valueName: "file"))
    var tokenizerModel: String?

    @Option(
        name: .customLong("metric"), help: ArgumentHelp("A further score, chrf++ or ter; may be repeated.", valueName: "name"))
    var further: [String] = []

    /// - Throws: `CommandFailure` for options that do not go together, `DataError` for a model that cannot be loaded.
    func metrics() throws -> ScoreMetrics {
        let metrics = try further.map { name -> any CorpusMetric in
            switch name {
            case "chrf++": return ChrF.plusPlus
            case "ter": return TranslationEditRate()
            default: throw CommandFailure(.usage, "--metric must be chrf++ or ter, but is \(name)")
            }
        }
        let names = metrics.map(\.name)
        guard Set(names).count == names.count else {
            throw CommandFailure(.usage, "--metric must name a score once, but are \(further.joined(separator: ", "))")
        }
        return ScoreMetrics(tokenizer: try chosenTokenizer(), further: metrics)
    }

    private func chosenTokenizer() throws -> BLEUTokenizer? {
        guard let tokenizer else {
            guard tokenizerModel == nil else {
                throw CommandFailure(.usage, "--tokenizer-model is for --tokenizer flores200: add it")
            }
            return nil
        }
        let names = BLEUTokenizer.Kind.allCases.map(\.rawValue)
        guard let kind = BLEUTokenizer.Kind(rawValue: tokenizer) else {
            throw CommandFailure(
                .usage, "--tokenizer must be one of \(names.joined(separator: ", ")), but is \(tokenizer)")
        }
        guard (kind == .flores200) == (tokenizerModel != nil) else {
            throw CommandFailure(
                .usage,
                kind == .flores200
                    ? "--tokenizer flores200 needs its SentencePiece model: name it with --tokenizer-model"
                    : "--tokenizer-model is for --tokenizer flores200, but that is \(tokenizer): leave it out")
        }
        return try BLEUTokenizer(kind, modelFile: tokenizerModel)
    }
}
