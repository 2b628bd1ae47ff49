import ArgumentParser

/// The text that a conversion looks at.
struct CalibrationOptions: ParsableArguments {
    @Option(
        parsing: .unconditional,
        help: ArgumentHelp("Tokens of the valid split that each side is run on, over all directions.", valueName: "n"))
    var calibrationTokens = 20_000

    @OptionGroup var place: DataOptions
}
