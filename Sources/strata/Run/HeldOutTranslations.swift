import DataPipeline
import Evaluation
import Foundation
import Runs

/// The first validation sentences of each direction, which a model in training translates: all ranks share them, and ranks that
/// share experts keep step.
struct HeldOutTranslations {
    private struct Part {
        let direction: Direction
        /// The sentences that are this rank's.
        let sources: [String]
        /// All.
        let references: [String]
    }

    private let parts: [Part]
    private let translator: Translator
    private let ranks: RankWorld

    /// - Throws: `DataError` where the prepared text cannot be read.
    init(_ run: TrainingRun, _ corpus: PreparedCorpus, sentences: Int, ranks: RankWorld) throws {
        self.ranks = ranks
        translator = Translator(
            models: [run.model], tokenizer: corpus.tokenizer, search: BeamSearch(beam: 1), expertGroup: run.groups.experts)
        parts = try run.configuration.data.directions.compactMap { direction in
            let (sources, references) = try corpus.references(direction, .valid)
            guard !sources.isEmpty else { return nil }
            let shared = Array(sources.prefix(sentences))
            return Part(
                direction: direction, sources: ranks.share(of: shared), references: Array(references.prefix(sentences)))
        }
    }

    /// The mean of the directions' BLEU; the same on every rank. Collective.
    func bleu() throws -> Double {
        var sum = 0.0
        for part in parts {
            let own = try translator.translate(part.sources, to: part.direction.target)
            let hypotheses = try ranks.inOrder(own, count: part.references.count)
            sum += BLEU(tokenizer: BLEUTokenizer(scoring: part.direction.target))
                .corpus(hypotheses: hypotheses, references: part.references)
        }
        return sum / Double(parts.count)
    }
}
