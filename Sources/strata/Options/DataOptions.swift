import ArgumentParser

/// Where the data of a run are now.
struct DataOptions: ParsableArguments {
    @Option(
        help: ArgumentHelp(
            "The prepared data, if they are neither where the run's configuration says nor beside the run.", valueName: "folder"
        ))
    var data: String?
}
