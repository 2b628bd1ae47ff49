import Foundation

/// What sacreBLEU 2.6.0 gives for texts chosen to be awkward, with all settings at their defaults:
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

    static func corpora() throws -> [Corpus] { try load("corpora") }
    static func tokenizations() throws -> [Tokenization] { try load("tokenizer-13a") }

    private static func load<Value: Decodable>(_ name: String) throws -> Value {
        let folder = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
        let decoder = JSONDecoder()
        decoder.keyDecodingStrategy = .convertFromSnakeCase
        return try decoder.decode(
            Value.self, from: Data(contentsOf: folder.appendingPathComponent("Fixtures/bleu/\(name).json")))
    }
}
