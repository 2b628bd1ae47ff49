import ArgumentParser
import ModelSurgery
import Reporting
import Runs

/// `strata convert moefy`: a mixture of the parts of a dense model's networks.
struct ConvertMoefyCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "moefy",
        abstract: "Split a dense model's feed-forward networks into experts.",
        discussion: """
            Experts are parts of the hidden units, whose sum is the network: with --top-k of all of them the model computes the \
            same, to rounding. Units that are alike come together, and gates are fitted to find those that a token activates, on \
            the valid split. The table shows how much of the activations the chosen experts have, and the best there are.

            Example:
              strata convert moefy runs/dense --strata 64 --top-k 13 --out parts
              strata convert moefy runs/dense --strata 16,48 --top-k 13 --out two
            """)

    @Argument(help: ArgumentHelp("The folder of the run, or of an export.", valueName: "run"))
    var folder: String

    @Option(help: ArgumentHelp("The experts of each stratum, such as 16,48.", valueName: "n,n"))
    var strata: String

    @Option(
        name: .customLong("top-k"), parsing: .unconditional, help: ArgumentHelp("Choices of a token at a gate.", valueName: "n")
    )
    var topK: Int

    @Option(help: ArgumentHelp("The folder to be made.", valueName: "folder"))
    var out: String

    @Option(parsing: .unconditional, help: ArgumentHelp("Every how many layers the network is split.", valueName: "n"))
    var every = 1

    @Option(help: ArgumentHelp("How units come together: clustering, coactivation or random.", valueName: "way"))
    var partition = Moefication.Partition.clustering.rawValue

    @Option(help: ArgumentHelp("What finds experts: mlp or linear, which are fitted, or similarity.", valueName: "kind"))
    var router = Moefication.Router.mlp.rawValue

    @Option(help: ArgumentHelp("Where the most active units go: frequent-last or frequent-first.", valueName: "strata"))
    var order = Moefication.Order.frequentLast.rawValue

    @Option(parsing: .unconditional, help: ArgumentHelp("What clusters and batches are drawn by.", valueName: "n"))
    var seed: UInt64 = 1

    @Flag(help: .verify)
    var verify = false

    @OptionGroup var calibration: CalibrationOptions

    @OptionGroup var options: CheckpointOptions

    func run() throws {
        try requirePath(out, of: "--out")
        var moefication = Moefication(strata: try strataSizes(strata), topK: topK)
        (moefication.every, moefication.seed) = (every, seed)
        moefication.partition = try namedChoice(partition, of: "--partition")
        moefication.router = try namedChoice(router, of: "--router")
        moefication.order = try namedChoice(order, of: "--order")
        let run = try RunFolder(existing: folder), choice = try options.choice()
        try requireNew(out)
        let model = try StoredModel(run, choice, averaged: options.average) { warn("\($0); using another one") }
        try model.requireSplittable(moefication)
        let
            rows = try calibrationRows(
                of: model, folder, tokens: calibration.calibrationTokens, data: calibration.place.data),
            display = ProgressDisplay()
        var layers: [MoefiedLayer] = []
        let split = try model.moefied(moefication, rows: rows) {
            layers.append($0)
            display.note("\($0.name) is split")
        }
        if verify {
            print(
                try verification(
                    of: split, from: model, folder, data: calibration.place.data, isExact: moefication.isExact))
        }
        let bytes = try ModelExport.write(split, to: out)
        func percent(_ share: Double) -> String { NumberText.decimal(100 * share, 1) + "%" }
        let table = Table(
            header: ["layer", "activations of the chosen", "at best"],
            rows: layers.map { [$0.name, percent($0.share), percent($0.bestShare)] })
        let remark =
            moefication.isExact ? "the same function to rounding" : "\(topK) of \(moefication.experts) experts at a gate"
        print(table.text + writtenText(split, remark, bytes: bytes, out))
    }
}
