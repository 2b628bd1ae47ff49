import ArgumentParser
import Evaluation
import TensorCore

/// What `strata translate` writes for a line, and how it is chosen.
struct TranslationOptions: ParsableArguments {
    @OptionGroup var search: SearchOptions

    @Option(
        parsing: .unconditional,
        help: ArgumentHelp(
            "Write the n best translations of each line as `line ||| translation ||| score`, lines counted from 0.",
            valueName: "n"))
    var nBest: Int?

    @Flag(help: "Write the score, its log-probability over length ^ penalty, and a tab before each translation.")
    var scores = false

    @Option(parsing: .unconditional, help: ArgumentHelp("Source tokens of a batch.", valueName: "n"))
    var batchTokens = Translator.defaultBatchTokens

    @Option(
        help: ArgumentHelp(
            "What products are computed in: float32, or int8, which is faster and nearly the same.", valueName: "type"))
    var compute = PackedWeights.Precision.float32.rawValue

    @Option(
        parsing: .unconditional,
        help: ArgumentHelp("Draw translations at this temperature instead of searching for the best.", valueName: "t"))
    var sample: Float?

    @Option(
        parsing: .unconditional, help: ArgumentHelp("With --sample, draw from the k likeliest tokens.", valueName: "k"))
    var topK: Int?

    @Option(help: ArgumentHelp("With --sample, the seed of the draws.", valueName: "n"))
    var seed: UInt64 = 1

    @Option(
        parsing: .unconditional,
        help: ArgumentHelp("No n tokens in a row come twice in a translation.", valueName: "n"))
    var noRepeatNgram: Int?

    @Option(
        parsing: .unconditional,
        help: ArgumentHelp("Tokens of a translation for each source token, at most; without it 3, and 20 more.", valueName: "x")
    )
    var maximumLengthRatio: Float?

    @Flag(help: "Put text of the source in the place of unknown tokens: that which they attend to most.")
    var replaceUnknowns = false

    /// - Throws: `CommandFailure` for what is no precision.
    func precision() throws -> PackedWeights.Precision {
        guard let precision = PackedWeights.Precision(rawValue: compute) else {
            throw CommandFailure(.usage, "--compute must be float32 or int8, but is \(compute)")
        }
        return precision
    }

    /// The search that the options ask for.
    ///
    /// - Throws: `CommandFailure` for values that are out of range, or go with others that are not given.
    func chosen() throws -> any Search {
        var beamSearch = try search.beamSearch()
        try requireCount("--batch-tokens", batchTokens, atMost: 1 << 20)
        if let nBest { try requireCount("--n-best", nBest, atMost: sample == nil ? search.beam : 1000) }
        if let maximumLengthRatio {
            guard maximumLengthRatio.isFinite, maximumLengthRatio > 0, maximumLengthRatio <= 100 else {
                throw CommandFailure(
                    .usage, "--maximum-length-ratio must be above 0 and at most 100, but is \(maximumLengthRatio)")
            }
            beamSearch.limit = LengthLimit(ratio: maximumLengthRatio, margin: 0)
        }
        if let noRepeatNgram {
            try requireCount("--no-repeat-ngram", noRepeatNgram, atMost: 1000)
            guard sample == nil else { throw CommandFailure(.usage, "--no-repeat-ngram must be given without --sample") }
            beamSearch.noRepeatNGram = noRepeatNgram
        }
        guard let sample else {
            guard topK == nil else { throw CommandFailure(.usage, "--top-k must be given with --sample") }
            return beamSearch
        }
        guard sample.isFinite, sample >= 0.01, sample <= 100 else {
            throw CommandFailure(.usage, "--sample must be 0.01 to 100, but is \(sample)")
        }
        if let topK { try requireCount("--top-k", topK, atMost: 1000) }
        return Sampling(count: nBest ?? 1, temperature: sample, topK: topK, limit: beamSearch.limit, seed: seed)
    }
}
