// The requested capacity, RC: the strata that tokens pass, 1 to their number.

extension RoutingAnalysis {
    /// RC of the two sides.
    public struct Sides: Codable, Equatable, Sendable {
        public var encoder: Double
        public var decoder: Double

        public init(encoder: Double, decoder: Double) {
            self.encoder = encoder
            self.decoder = decoder
        }
    }

    /// RC of a direction, over all blocks of a side: a row of rc_by_direction.csv.
    public struct DirectionCapacity: Codable, Equatable, Sendable {
        /// `eng-cat`.
        public var direction: String
        public var sentences: Int
        /// Tokens of the source texts, `<2xxx>` and `</s>` included.
        public var sourceTokens: Int
        public var targetTokens: Int
        /// Strata passed, over tokens and blocks.
        public var encoder: Double
        public var decoder: Double

        enum CodingKeys: String, CodingKey {
            case direction, sentences, encoder, decoder
            case sourceTokens = "source_tokens"
            case targetTokens = "target_tokens"
        }
    }

    /// RC of a direction in one block: a row of rc_by_block.csv.
    public struct BlockCapacity: Codable, Equatable, Sendable {
        public var direction: String
        public var side: Side
        public var layer: Int
        public var tokens: Int
        /// Strata passed by all of them; of a token in H parts, by all parts.
        public var strataPassed: Int
        /// strataPassed / (tokens · H).
        public var rc: Double

        enum CodingKeys: String, CodingKey {
            case direction, side, layer, tokens, rc
            case strataPassed = "rounds"
        }
    }

    /// The experts of a block that exist, of those that its strata have room for.
    public struct BlockExperts: Codable, Equatable, Sendable {
        public var side: Side
        public var layer: Int
        /// Their global ids, ascending.
        public var experts: [Int]

        public init(side: Side, layer: Int, experts: [Int]) {
            self.side = side
            self.layer = layer
            self.experts = experts
        }
    }

    /// One token type of a direction in one block.
    public struct TokenCapacity: Codable, Equatable, Sendable {
        /// Its id in the vocabulary.
        public var token: Int
        /// The token as SentencePiece writes it: `▁` is a space.
        public var piece: String
        /// Occurrences in the analysed text.
        public var count: Int
        /// Strata passed by all of them; of a token in H parts, by all parts.
        public var strataPassed: Int
        /// strataPassed / (count · H).
        public var rc: Double
        /// Occurrences in the text that `frequencySource` names.
        public var frequency: Int
        /// The rank by frequency, from 1: 1 + the number of tokens of that text that are more frequent.
        public var frequencyRank: Int

        enum CodingKeys: String, CodingKey {
            case token, piece, count, rc, frequency
            case strataPassed = "rounds"
            case frequencyRank = "frequency_rank"
        }
    }

    /// The tokens of highest and of lowest RC of a direction in one block, at most `limit` of each, without the control tokens
    /// (`<2xxx>`, `</s>`). Of equal RC the one that occurs more often in the analysed text comes first, then the lower id.
    public struct TokenExtremes: Codable, Equatable, Sendable {
        public static let limit = 25

        public var direction: String
        public var side: Side
        public var layer: Int
        /// RC descending.
        public var highest: [TokenCapacity]
        /// RC ascending.
        public var lowest: [TokenCapacity]
    }
}
