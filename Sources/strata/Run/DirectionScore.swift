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

    /// The ranks share the groups; the sum is the same on all.
    mutating func measureCapacity(_ trained: TrainedModel, _ text: ReferenceText, on ranks: RankWorld) throws {
        let groups = try ranks.together { try text.groups(direction, trained, limit: nil, leavingOutLonger: true) }
        let mixture = trained.configuration.model.mixture
        var capacity = RequestedCapacity(strata: mixture?.strata ?? [], decoderStrata: mixture?.decoderStrata)
        for (number, index) in groups.indices.enumerated() where number % ranks.world.size == ranks.world.rank {
            try capacity.add(groups[index], trained.model)
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
