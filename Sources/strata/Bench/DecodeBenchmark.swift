import ArgumentParser
import Autograd
import Collectives
import Evaluation
import Files
import Foundation
import Reporting
import Runs
import TensorCore
import TransformerModel

/// `strata bench decode`: beam search on synthetic sentences.
struct DecodeBenchmark: ParsableCommand, RunsOnRanks {
    static let configuration = CommandConfiguration(
        commandName: "decode",
        abstract: "Beam search on synthetic sentences with a model of random parameters, to a fixed length.",
        discussion: """
            Every rank translates the same sentences; the figures are the first one's.

            Example:
              strata bench decode --config configs/bench/small.yaml --beam 1
              strata bench decode --set model.moe.top_k=1 --json
            """)

    @OptionGroup var options: BenchmarkOptions

    @Option(help: ArgumentHelp("Sentences of a batch.", valueName: "n"))
    var sentences = 48

    @Option(help: ArgumentHelp("Tokens of a source sentence, and positions that are decoded.", valueName: "n"))
    var length = 26

    @OptionGroup var search: SearchOptions

    @Flag(help: .json)
    var json = false

    private struct Figures: Encodable {
        let sentencesPerSecond: Double
        let tokensPerSecond: Double

        enum CodingKeys: String, CodingKey {
            case sentencesPerSecond = "sentences_per_second"
            case tokensPerSecond = "tokens_per_second"
        }
    }

    func run() throws {
        let status = try RankWorld.run { ranks in
            let (configuration, search) = try ranks.together { () -> (RunConfiguration, BeamSearch) in
                try require("--sentences", sentences, in: 1...65_536)
                try require("--length", length, in: 2...4096)
                return (try options.load(), try self.search.beamSearch())
            }
            let words = configuration.data.vocabulary
            let context = ComputeContext(threads: ranks.threads(configured: configuration.parallel.threadsPerRank))
            let model = TranslationModel(
                configuration: configuration.model, vocabulary: words, context: context,
                expertGroup: try ranks.world.split(color: ranks.world.rank, key: 0), seed: 1)
            let key = RandomKey(seed: 1)
            let sources = (0..<sentences).map { sentence in
                (sentence * length..<(sentence + 1) * length).map { SyntheticSentences.word(key, $0, vocabulary: words) }
            }
            // No token ends a sentence, so that the limit ends every search.
            let vocabulary = BeamSearch.Vocabulary(
                start: Int32(SyntheticSentences.firstWord), endOfSentence: -1, forbidden: [])
            var limited = search
            limited.lengthLimit = length
            let seconds = try Stopwatch.median(repetitions: 3) {
                _ = try limited.translate(ModelScorer(model), sources, vocabulary: vocabulary)
            }
            guard ranks.isFirst else { return .done }
            let figures = Figures(
                sentencesPerSecond: Double(sentences) / seconds, tokensPerSecond: Double(sentences * length) / seconds)
            if json {
                print(try JSONText.pretty(figures), terminator: "")
            } else {
                print(
                    "beam \(search.beam), \(sentences) sentences of \(length) tokens: "
                        + "\(NumberText.decimal(figures.sentencesPerSecond, 1)) sentences/s, "
                        + "\(NumberText.count(Int(figures.tokensPerSecond))) tokens/s")
            }
            return .done
        }
        if status != .done { throw ExitCode(status.rawValue) }
    }
}
