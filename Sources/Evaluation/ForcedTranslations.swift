import DataPipeline
import TransformerModel

/// Log-probabilities of given translations.
public enum ForcedTranslations {
    /// One translation.
    public struct Score: Codable, Equatable, Sendable {
        /// ln p of the whole, `</s>` included, in nats.
        public var logProbability: Double
        /// Of each token.
        public var tokens: [Token]

        /// Per token, `</s>` included.
        public var mean: Double { logProbability / Double(max(tokens.count, 1)) }

        enum CodingKeys: String, CodingKey {
            case tokens
            case logProbability = "log_probability"
        }
    }

    public struct Token: Codable, Equatable, Sendable {
        /// As SentencePiece writes it: `▁` is a space.
        public var piece: String
        public var logProbability: Double

        enum CodingKeys: String, CodingKey {
            case piece
            case logProbability = "log_probability"
        }
    }

    /// The scores of a group's sentence pairs, in order, normalised over what search may produce, as search's own scores are.
    public static func scores(
        of group: TokenGroup, _ model: TranslationModel, tokenizer: Tokenizer
    ) throws -> [Score] {
        let languages = tokenizer.languages.compactMap { tokenizer.languageToken($0) }
        let values = try model.logProbabilities(of: group.batch, impossible: languages)
        return (0..<group.sentences).map { sentence in
            let tokens = group.batch.targetSegments.range(sentence).map { row in
                Token(piece: tokenizer.piece(group.batch.targetOutput[row]), logProbability: Double(values[row]))
            }
            return Score(logProbability: tokens.reduce(0) { $0 + $1.logProbability }, tokens: tokens)
        }
    }
}
