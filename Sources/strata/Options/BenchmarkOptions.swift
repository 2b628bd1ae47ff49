import ArgumentParser
import Benchmarks
import Runs

/// The configuration that a benchmark of a whole model takes its model from.
struct BenchmarkOptions: ParsableArguments {
    @Option(
        help: ArgumentHelp(
            "The configuration: its model, training and parallel sections and data.vocabulary are used.", valueName: "file"))
    var config = "configs/bench/small.yaml"

    @OptionGroup var overrides: OverrideOptions

    /// - Throws: `ConfigurationError`, or `CommandFailure` if no synthetic sentence can be made.
    func load() throws -> RunConfiguration {
        // Sentences are made up: a configuration that says nothing of its data is complete.
        let configuration = try RunConfiguration.load(
            file: config, overrides: overrides.set, defaults: ["data.format=numerals", "data.prepared=none"])
        let smallest = SyntheticSentences.firstWord + 1, vocabulary = configuration.data.vocabulary
        guard vocabulary >= smallest else {
            throw CommandFailure(
                .usage,
                "\(config): data.vocabulary must be at least \(smallest), but is \(vocabulary): the sentences need "
                    + "a word besides the control tokens; give more with --set data.vocabulary=1000")
        }
        return configuration
    }
}
