import ArgumentParser
import Autograd
import Collectives
import Evaluation
import Foundation
import TensorCore
import TransformerModel

/// `strata bench decode`: beam search on synthetic sentences.
struct DecodeBenchmark: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "decode",
        abstract: "Beam search on synthetic sentences with a model of random parameters, to a fixed length.",
        discussion: "Example:\n  strata bench decode --config configs/bench/small.yaml")

    @Option(help: "The configuration: its model section and data.vocabulary are used.")
    var config = "configs/bench/small.yaml"
    @Option(help: "Sentences of a batch.") var sentences = 48
    @Option(help: "Tokens of a source sentence, and positions that are decoded.") var length = 26
    @OptionGroup var search: SearchOptions
    @Flag(help: "Print the figures as JSON.") var json = false

    private struct Figures: Encodable {
        let sentencesPerSecond: Double
        let tokensPerSecond: Double

        enum CodingKeys: String, CodingKey {
            case sentencesPerSecond = "sentences_per_second"
            case tokensPerSecond = "tokens_per_second"
        }
    }

    func run() throws {
        guard sentences >= 1, length >= 2 else { throw CommandFailure(.usage, "--sentences must be at least 1 and --length 2") }
        let configuration = try RunConfiguration.load(file: config), search = try search.beamSearch()
        let status = try RankWorld.run { ranks in
            let context = ComputeContext(threads: ranks.threads(configured: configuration.parallel.threadsPerRank))
            let model = TranslationModel(
                configuration: configuration.model, vocabulary: configuration.data.vocabulary, context: context,
                expertGroup: try ranks.world.split(color: ranks.world.rank, key: 0), seed: 1)
            let key = RandomKey(seed: 1)
            let source = (0 ..< sentences * length).map { Int32(4 + key.bits(UInt32($0)) % 1000) }
            // The end of sentence is a token that a random model all but never prefers, so that the limit ends the search.
            let vocabulary = BeamSearch.Vocabulary(start: 4, endOfSentence: 1, forbidden: [])
            var limited = search
            limited.lengthLimit = length
            let seconds = try Stopwatch.median(repetitions: 3) {
                _ = try limited.translate(
                    model, source: source, segments: Segments(lengths: (0..<sentences).map { _ in length }),
                    vocabulary: vocabulary)
            }
            guard ranks.isFirst else { return .done }
            let figures = Figures(
                sentencesPerSecond: Double(sentences) / seconds, tokensPerSecond: Double(sentences * length) / seconds)
            if json {
                try BenchOutput.print(figures)
            } else {
                print("beam \(search.beam), \(sentences) sentences of \(length) tokens: "
                    + "\(Format.decimal(figures.sentencesPerSecond, 1)) sentences/s, "
                    + "\(Format.count(Int(figures.tokensPerSecond))) tokens/s")
            }
            return .done
        }
        if status != .done { throw ExitCode(status.rawValue) }
    }
}
