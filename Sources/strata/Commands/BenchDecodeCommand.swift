import ArgumentParser
import Benchmarks
import Evaluation
import Files
import Runs

/// `strata bench decode`: beam search on synthetic sentences.
struct BenchDecodeCommand: ParsableCommand, RunsOnRanks {
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

    @Option(parsing: .unconditional, help: ArgumentHelp("Sentences of a batch.", valueName: "n"))
    var sentences = 48

    @Option(
        parsing: .unconditional,
        help: ArgumentHelp("Tokens of a source sentence, and positions that are decoded.", valueName: "n"))
    var length = 26

    @OptionGroup var search: SearchOptions

    @Flag(help: .json)
    var json = false

    func run() throws {
        let status = try RankWorld.run { ranks in
            let (configuration, search) = try ranks.together { () -> (RunConfiguration, BeamSearch) in
                try require("--sentences", sentences, in: 1...65_536)
                try require("--length", length, in: 2...4096)
                let configuration = try options.load()
                try requireMemory(configuration, vocabulary: configuration.data.vocabulary, ranks: 1)
                return (configuration, try self.search.beamSearch())
            }
            let benchmark = DecodeBenchmark(configuration, sentences: sentences, length: length, search: search)
            let figures = try benchmark.measure(
                ranks.world, threads: ranks.threads(configured: configuration.parallel.threadsPerRank))
            if ranks.isFirst { print(json ? try JSONText.pretty(figures) : benchmark.text(figures), terminator: "") }
            return .done
        }
        if status != .done { throw ExitCode(status.rawValue) }
    }
}
