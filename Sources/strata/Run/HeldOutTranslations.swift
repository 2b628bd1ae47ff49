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
    private let run: TrainingRun
    private let tokenizer: Tokenizer
    private let ranks: RankWorld

    /// - Throws: `DataError` where the prepared text cannot be read.
    init(_ run: TrainingRun, _ corpus: PreparedCorpus, sentences: Int, ranks: RankWorld) throws {
        self.run = run
        self.ranks = ranks
        tokenizer = corpus.tokenizer
        parts = try run.configuration.data.directions.compactMap { direction in
            let (sources, references) = try corpus.references(direction, .valid)
            guard !sources.isEmpty else { return nil }
            let shared = Array(sources.prefix(sentences))
            return Part(
                direction: direction, sources: ranks.share(of: shared), references: Array(references.prefix(sentences)))
        }
    }

    /// The mean of the directions' BLEU, the first rank's: hosts may differ in the last bit of a logarithm. Collective.
    func bleu() throws -> Double {
        // A translator of this moment: training may have put another model in the place of the last.
        let translator = Translator(
            models: [run.model], tokenizer: tokenizer, search: BeamSearch(beam: 1), expertGroup: run.groups.experts)
        var sum = 0.0
        for part in parts {
            let own = try translator.translate(part.sources, to: part.direction.target)
            let hypotheses = try ranks.inOrder(own, count: part.references.count)
            sum += BLEU(tokenizer: BLEUTokenizer(scoring: part.direction.target))
                .corpus(hypotheses: hypotheses, references: part.references)
        }
        return try ranks.world.broadcast(sum / Double(parts.count), root: 0)
    }
}
