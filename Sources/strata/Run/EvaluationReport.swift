import Collectives
import DataPipeline
import Evaluation
import Foundation
import Reporting

/// One direction's translations and what they are worth.
struct DirectionScore {
    let direction: Direction
    let sources: [String]
    let references: [String]
    let hypotheses: [String]
    /// Requested capacity; nil in a dense model.
    private(set) var capacity: RequestedCapacity?

    init(direction: Direction, sources: [String], references: [String], hypotheses: [String]) {
        self.direction = direction
        self.sources = sources
        self.references = references
        self.hypotheses = hypotheses
    }

    /// The ranks share the groups; the sum is the same on all.
    mutating func measureCapacity(
        _ trained: TrainedModel, _ corpus: PreparedCorpus, _ split: Split, on ranks: RankWorld
    ) throws {
        let groups = try ranks.together {
            try EvaluationGroups(
                corpus: corpus, split: split, directions: [direction],
                tokensPerGroup: max(trained.configuration.training.tokensPerGroup, corpus.manifest.maximumLength + 2))
        }
        var capacity = RequestedCapacity(strata: trained.configuration.model.mixture?.strata ?? [])
        for index in stride(from: ranks.world.rank, to: groups.count, by: ranks.world.size) {
            try capacity.add(groups[index], trained.model)
        }
        try capacity.sum { try ranks.world.allReduce(&$0, .sum) }
        self.capacity = capacity
    }

    var bleu: Double { BLEU.corpus(hypotheses: hypotheses, references: references).score }
    var chrf: Double { ChrF.corpus(hypotheses: hypotheses, references: references) }
    var exact: Double { ExactMatch.corpus(hypotheses: hypotheses, references: references) }
}

/// The figures of an evaluation, for people and, as its `result`, for programs.
struct EvaluationReport {
    private let scores: [DirectionScore]
    private let figures: [EvaluationResult.Scores]
    let result: EvaluationResult

    /// `update`: how long the model was trained.
    init(scores: [DirectionScore], split: Split, update: Int, search: BeamSearch) {
        self.scores = scores
        let figures = scores.map { score in
            EvaluationResult.Scores(
                bleu: score.bleu, chrf: score.chrf, exact: score.exact, sentences: score.sources.count,
                roundsEncoder: score.capacity?.encoder.roundsMean, roundsDecoder: score.capacity?.decoder.roundsMean)
        }
        self.figures = figures
        func mean(_ value: (EvaluationResult.Scores) -> Double) -> Double {
            figures.reduce(0) { $0 + value($1) } / Double(max(figures.count, 1))
        }
        let isMixture = figures.contains { $0.roundsEncoder != nil }
        let average = EvaluationResult.Scores(
            bleu: mean(\.bleu), chrf: mean(\.chrf), exact: mean(\.exact),
            roundsEncoder: isMixture ? mean { $0.roundsEncoder ?? 0 } : nil,
            roundsDecoder: isMixture ? mean { $0.roundsDecoder ?? 0 } : nil)
        result = EvaluationResult(
            split: split.rawValue, update: update, beam: search.beam, lengthPenalty: search.lengthPenalty, average: average,
            directions: Dictionary(uniqueKeysWithValues: zip(scores.map(\.direction.description), figures)),
            signature: BLEU.signature(version: programVersion),
            chrfSignature: ChrF.signature(version: programVersion))
    }

    func text(samples: Int) -> String {
        func cells(_ name: String, _ figures: EvaluationResult.Scores) -> [String] {
            func rounds(_ value: Double?) -> String { value.map { NumberText.decimal($0, 2) } ?? "-" }
            return [
                name, NumberText.decimal(figures.bleu, 2), NumberText.decimal(figures.chrf, 2),
                NumberText.decimal(figures.exact, 1) + "%",
                rounds(figures.roundsEncoder), rounds(figures.roundsDecoder),
            ]
        }
        var text = Table(
            header: ["direction", "BLEU", "chrF2", "exact", "RC encoder", "RC decoder"],
            rows: zip(scores, figures).map { cells($0.direction.description, $1) } + [cells("average", result.average)]
        ).text
        text += "BLEU: \(result.signature)\n"
        if let signature = result.chrfSignature { text += "chrF2: \(signature)\n" }
        for score in scores where samples > 0 {
            text += "\n\(score.direction)\n"
            for index in score.sources.indices.prefix(samples) {
                let mark = score.hypotheses[index] == score.references[index] ? "=" : "≠ \(score.references[index])"
                text += "  \(score.sources[index])\n    → \(score.hypotheses[index])  \(mark)\n"
            }
        }
        return text
    }
}
