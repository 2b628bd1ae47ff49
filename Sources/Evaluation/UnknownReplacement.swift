import DataPipeline
import TensorCore
import TransformerModel

/// Puts text of the source in the place of unknown tokens of a translation: a name in another script, a sign that is rare (Luong et
/// al. 2015, "Addressing the Rare Word Problem in Neural Machine Translation"; by attention as in OpenNMT).
///
/// An unknown token becomes the text of the source token that it attends to most: of unknown ones where the source has any.
public struct UnknownReplacement {
    private let model: TranslationModel
    private let tokenizer: Tokenizer
    private let languageToken: Int32

    /// - Parameter language: that is translated into, one of the tokenizer's.
    public init(model: TranslationModel, tokenizer: Tokenizer, language: String) {
        guard let languageToken = tokenizer.languageToken(language) else {
            preconditionFailure("\(language) is not a language of this model")
        }
        (self.model, self.tokenizer, self.languageToken) = (model, tokenizer, languageToken)
    }

    /// The text of a translation of `source`.
    public func text(of translation: [Int32], source: String) throws -> String {
        guard translation.contains(tokenizer.unknown) else { return tokenizer.decode(translation) }
        let tokens = Array(tokenizer.encode(source).prefix(Translator.longestSource))
        let pieces = tokenizer.pieces(of: source).prefix(tokens.count).map { $0.replacing("▁", with: "") }
        precondition(pieces.count == tokens.count, "a token is a piece")
        let unknown = tokens.indices.filter { tokens[$0] == tokenizer.unknown }
        let candidates = unknown.isEmpty ? tokens.indices.filter { !pieces[$0].isEmpty } : unknown
        let weights = try attention(tokens, translation)
        let text = zip(translation, weights).map { token, weights -> String in
            guard token == tokenizer.unknown else { return tokenizer.piece(token) }
            // The source's first row is the language token.
            return candidates.max { weights[$0 + 1] < weights[$1 + 1] }.map { pieces[$0] } ?? ""
        }
        return text.joined().replacing("▁", with: " ").trimmingPrefix { $0 == " " }.description
    }

    private func attention(_ source: [Int32], _ translation: [Int32]) throws -> [[Float]] {
        let whole = [languageToken] + source + [tokenizer.endOfSentence]
        return try model.attention(
            of: SentenceBatch(
                source: whole, sourceSegments: Segments(lengths: [whole.count]), targetInput: [languageToken] + translation,
                targetOutput: translation + [tokenizer.endOfSentence],
                targetSegments: Segments(lengths: [translation.count + 1])))
    }
}
