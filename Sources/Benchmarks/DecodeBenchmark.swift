import Collectives
import Evaluation
import Reporting
import Runs
import TensorCore
import TransformerModel

/// Beam search on synthetic sentences.
public struct DecodeBenchmark {
    let configuration: RunConfiguration
    /// Sentences of a batch.
    let sentences: Int
    /// Tokens of a source sentence, and positions that are decoded.
    let length: Int
    let search: BeamSearch

    public init(_ configuration: RunConfiguration, sentences: Int, length: Int, search: BeamSearch) {
        self.configuration = configuration
        self.sentences = sentences
        self.length = length
        self.search = search
    }

    public struct Figures: Encodable {
        let sentencesPerSecond: Double
        let tokensPerSecond: Double

        enum CodingKeys: String, CodingKey {
            case sentencesPerSecond = "sentences_per_second"
            case tokensPerSecond = "tokens_per_second"
        }
    }

    /// A collective operation: every rank translates the same sentences, with `threads` threads.
    public func measure(_ world: any Communicator, threads: Int) throws -> Figures {
        let words = configuration.data.vocabulary
        let context = ComputeContext(threads: threads)
        let model = TranslationModel(
            configuration: configuration.model, vocabulary: words, context: context,
            expertGroup: try world.split(color: world.rank, key: 0), seed: 1)
        model.packForInference()
        let key = RandomKey(seed: 1)
        let sources = (0..<sentences).map { sentence in
            (sentence * length..<(sentence + 1) * length).map { SyntheticSentences.word(key, $0, vocabulary: words) }
        }
        // No token ends a sentence, so that the limit ends every search.
        let vocabulary = SearchVocabulary(
            start: Int32(SyntheticSentences.firstWord), endOfSentence: -1, forbidden: [])
        var limited = search
        limited.limit = LengthLimit(ratio: 0, margin: length)
        let seconds = try Stopwatch.median(repetitions: 3) {
            _ = try limited.translate(ModelScorer(model), sources, vocabulary: vocabulary)
        }
        return Figures(
            sentencesPerSecond: Double(sentences) / seconds, tokensPerSecond: Double(sentences * length) / seconds)
    }

    public func text(_ figures: Figures) -> String {
        "beam \(search.beam), \(sentences) sentences of \(length) tokens: "
            + "\(NumberText.decimal(figures.sentencesPerSecond, 1)) sentences/s, "
            + "\(NumberText.count(figures.tokensPerSecond)) tokens/s\n"
    }
}
