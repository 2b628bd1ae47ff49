import DataPipeline
import Evaluation

/// The metrics of an evaluation.
struct ScoreMetrics {
    /// nil: by the target language.
    let tokenizer: BLEUTokenizer?
    /// Beside BLEU and chrF2.
    let further: [any CorpusMetric]

    func bleu(_ direction: Direction) -> BLEU { BLEU(tokenizer: tokenizer ?? BLEUTokenizer(scoring: direction.target)) }

    /// All, in the order in which they are shown.
    func all(_ direction: Direction) -> [any CorpusMetric] { [bleu(direction), ChrF()] + further }
}
