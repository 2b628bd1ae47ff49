import ArgumentParser

/// Whether the ranks share a model's experts.
struct SpreadOptions: ParsableArguments {
    @Flag(help: "Spread the experts over the ranks instead of loading all on each; the translations are the same.")
    var spreadExperts = false
}
