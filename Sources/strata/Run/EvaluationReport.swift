import DataPipeline
import Evaluation
import Foundation
import Reporting
import TransformerModel

/// The figures of an evaluation, for people and, as its `result`, for programs.
struct EvaluationReport {
    private let scores: [DirectionScore]
    private let metrics: ScoreMetrics
    private(set) var result: EvaluationResult

    /// `update`: how long the model was trained, whose moving average it is if `ofAverage`; `text`: the name of what was translated.
    init(
        scores: [DirectionScore], metrics: ScoreMetrics, text: String, update: Int, ofAverage: Bool = false, search: BeamSearch,
        contrast: Contrast? = nil
    ) {
        self.scores = scores
        self.metrics = metrics
        let figures = scores.map { $0.figures(metrics) }
        let tokenizers = scores.map { metrics.bleu($0.direction).tokenizer.kind.rawValue }
        let byTokenizer = Dictionary(grouping: figures.indices) { tokenizers[$0] }
        // Scores by unlike tokens are not to be averaged: those by the tokens of most directions are.
        let main =
            byTokenizer.max {
                ($0.value.count, $0.key == BLEUTokenizer.mteval13a.kind.rawValue ? 1 : 0, $1.key)
                    < ($1.value.count, $1.key == BLEUTokenizer.mteval13a.kind.rawValue ? 1 : 0, $0.key)
            }?.key ?? BLEUTokenizer.mteval13a.kind.rawValue
        var average = EvaluationResult.Scores.mean(figures)
        average.bleu = EvaluationResult.Scores.mean((byTokenizer[main] ?? []).map { figures[$0] }).bleu
        result = EvaluationResult(
            split: text, update: update, beam: search.beam, lengthPenalty: search.lengthPenalty, average: average,
            directions: Dictionary(uniqueKeysWithValues: zip(scores.map(\.direction.description), figures)),
            signature: Self.signature(metrics, main), chrfSignature: ChrF().signature(version: programVersion))
        if ofAverage { result.ofAverage = true }
        result.contrast = contrast?.text
        result.tokenizers = Dictionary(uniqueKeysWithValues: zip(scores.map(\.direction.description), tokenizers))
        if byTokenizer.count > 1 {
            result.bleuByTokenizer = byTokenizer.mapValues { indices in
                EvaluationResult.Scores.mean(indices.map { figures[$0] }).bleu
            }
        }
        if !metrics.further.isEmpty {
            result.furtherSignatures = Dictionary(
                uniqueKeysWithValues: metrics.further.map { ($0.name, $0.signature(version: programVersion)) })
        }
    }

    /// The two translations of every direction compared; `name` is the other's.
    mutating func compare(with baselines: [[String]], name: String, update: Int?) {
        result.comparison = EvaluationComparison(
            against: name, update: update,
            directions: Dictionary(
                uniqueKeysWithValues: zip(scores, baselines).map { score, baseline in
                    (score.direction.description, metrics.all(score.direction).map { Self.compared(score, baseline, $0) })
                }))
    }

    private static func compared(
        _ score: DirectionScore, _ baseline: [String], _ metric: some CorpusMetric
    ) -> EvaluationComparison.Figure {
        let own = metric.statistics(hypotheses: score.hypotheses, references: score.references)
        let other = metric.statistics(hypotheses: baseline, references: score.references)
        return .init(
            metric: metric.name, score: metric.score(ofSegments: own), against: metric.score(ofSegments: other),
            bootstrap: SignificanceTest.bootstrap.compare(metric, own, with: other),
            randomization: SignificanceTest.randomization.compare(metric, own, with: other),
            bootstrapSignature: SignificanceTest.bootstrap.signature(metric, version: programVersion),
            randomizationSignature: SignificanceTest.randomization.signature(metric, version: programVersion))
    }

    private static func signature(_ metrics: ScoreMetrics, _ tokenizer: String) -> String {
        BLEU().signature(version: programVersion).replacing("|tok:13a|", with: "|tok:\(tokenizer)|")
    }

    func text(samples: Int) -> String {
        var text = table + signatures
        for score in scores where samples > 0 {
            text += "\n\(score.direction)\n"
            for index in score.sources.indices.prefix(samples) {
                let isExact = ExactMatch.matches(score.hypotheses[index], score.references[index])
                text +=
                    "  \(score.sources[index])\n    → \(score.hypotheses[index])  "
                    + (isExact ? "=\n" : "≠ \(score.references[index])\n")
            }
        }
        return text + comparison
    }

    private var table: String {
        func cells(_ name: String, _ figures: EvaluationResult.Scores) -> [String] {
            func capacity(_ value: Double?) -> String { value.map { NumberText.decimal($0, 2) } ?? "-" }
            let further = metrics.further.map { NumberText.decimal(figures.further?[$0.name] ?? 0, 2) }
            return [name, NumberText.decimal(figures.bleu, 2), NumberText.decimal(figures.chrf, 2)] + further + [
                NumberText.decimal(figures.exact, 1) + "%", capacity(figures.encoderRequestedCapacity),
                capacity(figures.decoderRequestedCapacity),
            ]
        }
        let names = scores.map(\.direction.description)
        return Table(
            header: ["direction", "BLEU", "chrF2"] + metrics.further.map(\.name) + ["exact", "RC encoder", "RC decoder"],
            rows: names.map { cells($0, result.directions[$0]!) } + [cells("average", result.average)]
        ).text
    }

    private var signatures: String {
        var text = "BLEU: \(result.signature)\n"
        let tokenizers = result.tokenizers ?? [:], main = result.averagedTokenizer
        for (tokenizer, bleu) in (result.bleuByTokenizer ?? [:]).sorted(by: { $0.key < $1.key }) where tokenizer != main {
            let names = scores.map(\.direction.description).filter { tokenizers[$0] == tokenizer }.joined(separator: ", ")
            text +=
                "BLEU of \(names): \(Self.signature(metrics, tokenizer)); no part of the average, whose tokens are others (mean of "
                + "these: \(NumberText.decimal(bleu, 2)))\n"
        }
        if let signature = result.chrfSignature { text += "chrF2: \(signature)\n" }
        for metric in metrics.further { text += "\(metric.name): \(metric.signature(version: programVersion))\n" }
        return text
    }

    private var comparison: String {
        guard let comparison = result.comparison else { return "" }
        var rows: [[String]] = [], signatures: [String] = []
        for score in scores {
            let name = score.direction.description
            for figure in comparison.directions[name] ?? [] {
                // sacreBLEU's tests find scores that are equal significantly so.
                let isEqual = figure.score == figure.against
                func p(_ result: SignificanceResult) -> String { isEqual ? "-" : NumberText.decimal(result.pValue, 4) }
                rows.append([
                    name, figure.metric, NumberText.decimal(figure.score, 2), NumberText.decimal(figure.against, 2),
                    NumberText.decimal(figure.score - figure.against, 2), p(figure.bootstrap), p(figure.randomization),
                ])
                for signature in [figure.bootstrapSignature, figure.randomizationSignature] {
                    let line = "\(figure.metric): \(signature)\n"
                    if !signatures.contains(line) { signatures.append(line) }
                }
            }
        }
        return "\nagainst \(comparison.against)"
            + (comparison.update.map { " (update \(NumberText.count($0)))" } ?? "") + "\n"
            + Table(
                header: ["direction", "score", "this", "other", "difference", "p bootstrap", "p randomization"], rows: rows
            ).text + signatures.joined()
    }
}
