import Foundation

/// What sacreBLEU 2.6.0 (with NumPy 2.4.6) gives for texts chosen to be awkward, with all settings at their defaults:
/// `BLEU().corpus_score(hypotheses, [references])`, `CHRF().corpus_score(hypotheses, [references])` and
/// `Tokenizer13a()(text.rstrip()).split()`, written with `json.dump`.
enum SacreBLEUFixtures {
    struct Corpus: Decodable {
        var name: String
        var hypotheses: [String]
        var references: [String]
        var bleu: Double
        var precisions: [Double]
        var brevityPenalty: Double
        var hypothesisLength: Int
        var referenceLength: Int
        var chrf: Double
    }

    struct Tokenization: Decodable {
        var text: String
        var tokens: [String]
    }

    /// Of one tokenizer, by its name; `flores200` with the model `pieces.model` in place of its own.
    static func tokenizations(_ name: String) throws -> [Tokenization] { try load("tokenizer-\(name)") }

    /// `BLEU(tokenize=…)`, `CHRF()`, `CHRF(word_order=2)` and `TER()`, with their signatures.
    struct MetricCorpus: Decodable {
        var name: String
        var hypotheses: [String]
        var references: [String]
        /// By tokenizer.
        var bleu: [String: Double]
        var chrf: Double
        var chrfPlusPlus: Double
        var ter: Double
        /// TER's, of each segment.
        var edits: [Int]
        /// By metric.
        var signatures: [String: String]
    }

    struct Pieces: Decodable {
        var tokenizations: [Tokenization]
        var hypotheses: [String]
        var references: [String]
        var bleu: Double
        var signature: String
    }

    /// `PairedTest` with its defaults.
    struct Significance: Decodable {
        struct Result: Decodable {
            var test: String
            var metric: String
            var score: Double
            var pValue: Double
            var mean: Double?
            var confidence: Double?
            var signature: String
        }

        var name: String
        var hypotheses: [String]
        var baseline: [String]
        var references: [String]
        var results: [Result]
    }

    /// `numpy.random.default_rng`.
    struct NumPy: Decodable {
        /// Seed 12345: 40 numbers below the key.
        var choice: [String: [Int]]
        /// Seed 12345.
        var bits: [Int]
        /// By seed: 5 numbers below 1000.
        var seeds: [String: [Int]]
    }

    static func metrics() throws -> [MetricCorpus] { try load("metrics") }
    static func pieces() throws -> Pieces { try load("flores200") }
    static func significance() throws -> [Significance] { try load("significance") }
    static func numPy() throws -> NumPy { try load("numpy") }
    static var piecesModel: String { folder.appendingPathComponent("pieces.model").path }

    static func corpora() throws -> [Corpus] { try load("corpora") }
    static func tokenizations() throws -> [Tokenization] { try load("tokenizer-13a") }

    private static let folder = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
        .appendingPathComponent("Fixtures/bleu")

    private static func load<Value: Decodable>(_ name: String) throws -> Value {
        let decoder = JSONDecoder()
        decoder.keyDecodingStrategy = .convertFromSnakeCase
        return try decoder.decode(
            Value.self, from: Data(contentsOf: folder.appendingPathComponent("\(name).json")))
    }
}
