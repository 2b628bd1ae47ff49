import Collectives
import DataPipeline
import Evaluation
import Foundation

/// One direction's text, translations and what these are worth.
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

    /// The ranks share the groups; the sum is the same on all. Every rank goes through as many, if only empty ones: where experts are
    /// spread over ranks each passes them together with the others.
    mutating func measureCapacity(_ trained: TrainedModel, _ text: ReferenceText, on ranks: RankWorld) throws {
        let groups = try ranks.together { try text.groups(direction, trained, limit: nil, leavingOutLonger: true) }
        let mixture = trained.configuration.model.mixture
        var capacity = RequestedCapacity(strata: mixture?.strata ?? [], decoderStrata: mixture?.decoderStrata)
        let indices = Array(groups.indices)
        for first in stride(from: 0, to: indices.count, by: ranks.world.size) {
            let own = first + ranks.world.rank
            try capacity.add(own < indices.count ? groups[indices[own]] : .empty(index: own), trained.model)
        }
        try capacity.sum { try ranks.world.allReduce(&$0, .sum) }
        self.capacity = capacity
    }

    func figures(_ metrics: ScoreMetrics) -> EvaluationResult.Scores {
        func score(_ metric: any CorpusMetric) -> Double { metric.corpus(hypotheses: hypotheses, references: references) }
        var figures = EvaluationResult.Scores(
            bleu: score(metrics.bleu(direction)), chrf: score(ChrF()),
            exact: ExactMatch.corpus(hypotheses: hypotheses, references: references), sentences: sources.count,
            encoderRequestedCapacity: capacity?.encoder.requestedCapacity,
            decoderRequestedCapacity: capacity?.decoder.requestedCapacity)
        figures.further =
            metrics.further.isEmpty ? nil : Dictionary(uniqueKeysWithValues: metrics.further.map { ($0.name, score($0)) })
        return figures
    }
}
