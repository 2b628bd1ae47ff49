import Autograd
import Collectives
import MixtureMethods
import MixtureOfExperts
import NeuralLayers
import TensorCore
import Testing
import TransformerModel
import _TestSupport

/// One position at a time gives what all positions at once give.
@Suite struct ModelScorerTests {
    /// A row of a step: the sentence it translates, the row it continues, and all its tokens so far.
    private struct Path {
        let sentence: Int
        let parent: Int
        let tokens: [Int32]
    }

    private static let sources: [[Int32]] = [[3, 9, 4, 4, 17], [8], [2, 2, 22, 1, 0, 5, 6, 7]]

    /// Hypotheses that branch, change places and end: after each step every row draws which rows of its sentence continue.
    private static func grow(_ paths: [Path], step: Int) -> [Path] {
        let key = RandomKey(seed: 77).derived(step)
        var next: [Path] = [], draw = 0
        func uniform() -> Float {
            draw += 1
            return key.uniform(draw)
        }
        for sentence in sources.indices.reversed() {
            let rows = paths.indices.filter { paths[$0].sentence == sentence }
            guard !rows.isEmpty, step < 5 || sentence != 1 else { continue }
            for _ in 0..<1 + Int(uniform() * 4) {
                let parent = rows[Int(uniform() * Float(rows.count))]
                let token = Int32(uniform() * Float(TinyModel.vocabulary))
                next.append(Path(sentence: sentence, parent: parent, tokens: paths[parent].tokens + [token]))
            }
        }
        return next
    }

    /// Logits after the last of `tokens`, from the whole decoder.
    private static func logits(_ model: TranslationModel, source: [Int32], tokens: [Int32]) throws -> [Float] {
        let states = try SentencePairs(source: source, target: tokens).states(model).decoder
        var embedding: [Float] = []
        try model.store.forEachSlice { name, _, values, _ in if name == "embedding.weight" { embedding = Array(values) } }
        let d = model.configuration.dim
        return (0..<model.vocabulary).map { word in
            Float((0..<d).reduce(0.0) { $0 + Double(embedding[word * d + $1]) * Double(states[tokens.count - 1, $1]) })
        }
    }

    private static let mixtures: [MixtureConfiguration?] = {
        var conditional = MixtureConfiguration(strata: [2, 3])
        conditional[ConditionalRouting.self].settings = .init()
        conditional[ConditionalRouting.self].settings?.gateDropout = 0.4
        return [nil, MixtureConfiguration(strata: [4]), MixtureConfiguration(strata: [2, 3]), conditional]
    }()

    @Test(arguments: mixtures) func logitsAreThoseOfTheWholeDecoder(mixture: MixtureConfiguration?) throws {
        try alone { communicator in
            let model = try TinyModel.make(mixture, group: communicator, dropout: 0.3)
            let scorer = ModelScorer(model)
            let sentences = try scorer.begin(Self.sources)
            var paths = Self.sources.indices.map { Path(sentence: $0, parent: 0, tokens: [Int32(20 + $0 % 2)]) }
            var reordered = false
            for step in 0..<12 {
                let logits = try scorer.logits(
                    paths.map {
                        DecodingRow(
                            token: $0.tokens.last!, sentence: sentences.lowerBound + $0.sentence,
                            parent: step > 0 ? $0.parent : nil)
                    })
                #expect(logits.rows == paths.count && logits.columns == TinyModel.vocabulary)
                for (row, path) in paths.enumerated() {
                    if step > 0, path.parent != row { reordered = true }
                    try expectClose(
                        logits.rows(row..<row + 1).elements,
                        Self.logits(model, source: Self.sources[path.sentence], tokens: path.tokens), tolerance: 2e-5,
                        "step \(step), row \(row)")
                }
                paths = Self.grow(paths, step: step)
            }
            #expect(reordered)
        }
    }
}
