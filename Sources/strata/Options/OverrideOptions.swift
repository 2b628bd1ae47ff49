import ArgumentParser

/// Values that replace those of a configuration.
struct OverrideOptions: ParsableArguments {
    @Option(
        parsing: .unconditionalSingleValue,
        help: ArgumentHelp("Override a key of the configuration; may be repeated.", valueName: "path.to.key=value"))
    var set: [String] = []
}
