import ArgumentParser
import Runs

/// The configuration of a run, as commands take it.
struct ConfigurationOptions: ParsableArguments {
    @Argument(help: "The configuration: a YAML file.", completion: .file(extensions: ["yaml", "yml"]))
    var config: String

    @OptionGroup var overrides: OverrideOptions

    /// - Throws: `ConfigurationError`.
    func load() throws -> RunConfiguration {
        try RunConfiguration.load(file: config, overrides: overrides.set)
    }
}
