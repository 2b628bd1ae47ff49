import ArgumentParser
import Planning
import Runs

/// `strata simulate`: how an update's time goes with the number of ranks.
struct SimulateCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "simulate",
        abstract: "Predict an update's time on 1, 2, 4, … ranks, up to 1,024, and say how far that can be believed.",
        discussion: """
            The model of strata plan --machine: nothing is trained. Experts' loads are drawn by --skew and --seed. The \
            configuration is as given: give training.token_groups one for each rank, or ranks have nothing to do; where it names \
            parallel.expert_parallel, numbers of ranks that this does not divide are left out.

            Example:
              strata simulate configs/m4/smoe-4-4.yaml --ranks 64 --hosts 8 --link 1gbit
              strata simulate my.yaml --ranks 1024 --hosts 128 --skew zipf:1 --json
            """)

    @Argument(help: "The configuration: a YAML file.", completion: .file(extensions: ["yaml", "yml"]))
    var config: String

    @OptionGroup var overrides: OverrideOptions

    @Option(parsing: .unconditional, help: ArgumentHelp("The most ranks.", valueName: "n"))
    var ranks = 64

    @OptionGroup var stepTime: StepTimeOptions

    @Flag(help: .json)
    var json = false

    func run() throws {
        try require("--ranks", ranks, in: 1...StepTimeModel.mostRanks)
        let configuration = try RunConfiguration.load(file: config, overrides: overrides.set)
        let model = try ModelPlan(
            configuration.model, vocabulary: configuration.data.vocabulary, trained: configuration.training.trained)
        let report = try stepTime.predict(model, configuration, ranks: ranks) {
            try ScalingReport($0, ranks: ranks, hosts: $1, source: $2)
        }
        print(json ? try report.json() : report.text, terminator: "")
    }
}
