import ArgumentParser

/// The configuration of a run, as commands take it.
struct ConfigurationOptions: ParsableArguments {
    @Argument(help: "The configuration: a YAML file.", completion: .file(extensions: ["yaml", "yml"]))
    var config: String

    @Option(
        name: .customLong("set"), parsing: .unconditionalSingleValue,
        help: ArgumentHelp("Override a key of the configuration; may be repeated.", valueName: "path.to.key=value"))
    var overrides: [String] = []

    /// - Throws: `ConfigurationError`.
    func load() throws -> RunConfiguration {
        try RunConfiguration.load(file: config, overrides: overrides)
    }
}
