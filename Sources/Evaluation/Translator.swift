import DataPipeline
import TransformerModel

/// Translates text with a model whose experts are all on this rank.
public struct Translator {
    public let model: TranslationModel
    public let tokenizer: Tokenizer
    public let search: BeamSearch
    /// Source tokens of a batch, over all its sentences.
    private static let batchTokens = 1536
    /// Longer sentences are cut: attention's memory grows with the square.
    public static let longestSource = 1024

    public init(model: TranslationModel, tokenizer: Tokenizer, search: BeamSearch) {
        self.model = model
        self.tokenizer = tokenizer
        self.search = search
    }

    /// One translation for each text, in order; an empty text for an empty one. `progress` is told how many are done.
    ///
    /// The target language is one of the tokenizer's.
    public func translate(_ texts: [String], to language: String, progress: (Int) -> Void = { _ in }) throws -> [String] {
        guard let languageToken = tokenizer.languageToken(language) else {
            preconditionFailure("\(language) is not a language of this model")
        }
        let vocabulary = BeamSearch.Vocabulary(
            start: languageToken, endOfSentence: tokenizer.endOfSentence,
            forbidden: tokenizer.languages.compactMap { tokenizer.languageToken($0) })
        let tokens = texts.map { Array(tokenizer.encode($0).prefix(Self.longestSource)) }
        var result = [String](repeating: "", count: texts.count), done = 0
        // Sentences of one length end at about the same step.
        let order = texts.indices.filter { !tokens[$0].isEmpty }.sorted { (tokens[$0].count, $0) < (tokens[$1].count, $1) }
        done = texts.count - order.count
        var start = 0
        while start < order.count {
            var end = start, rows = 0
            while end < order.count, end == start || rows + tokens[order[end]].count + 2 <= Self.batchTokens {
                rows += tokens[order[end]].count + 2
                end += 1
            }
            let batch = order[start..<end]
            let sources = batch.map { [languageToken] + tokens[$0] + [tokenizer.endOfSentence] }
            let translations = try search.translate(ModelScorer(model), sources, vocabulary: vocabulary)
            for (index, translation) in zip(batch, translations) { result[index] = tokenizer.decode(translation) }
            done += batch.count
            progress(done)
            start = end
        }
        return result
    }
}
