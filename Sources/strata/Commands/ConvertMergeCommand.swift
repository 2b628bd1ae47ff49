import ArgumentParser
import ModelSurgery
import Reporting
import Runs

/// `strata convert merge`: a model whose similar experts are one.
struct ConvertMergeCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "merge",
        abstract: "Merge experts that are similar.",
        discussion: """
            Experts of a stratum that make similar outputs of the same rows of the valid split are grouped until as many groups \
            are left as --groups says, and each group becomes one expert, the sum of its members weighted by how often they are \
            chosen, as strata analyze found it. --dry-run shows the groups, and writes nothing. Train the gates afterwards.

            Example:
              strata analyze runs/quickstart --split valid
              strata convert merge runs/quickstart --groups 2,2 --out exports/merged
            """)

    @Argument(help: ArgumentHelp("The folder of the run, or of an export.", valueName: "run"))
    var folder: String

    @Option(help: ArgumentHelp("The experts of each stratum that are left, such as 2,2.", valueName: "n,n"))
    var groups: String

    @Option(
        help: ArgumentHelp("The same of the decoder's blocks, where they are others (default: as --groups).", valueName: "n,n"))
    var decoderGroups: String?

    @Option(help: ArgumentHelp("What is similar: cka, of outputs, or parameters.", valueName: "measure"))
    var metric = ExpertMerging.Metric.cka.rawValue

    @Option(help: ArgumentHelp("What members weigh: usage or uniform.", valueName: "rule"))
    var weights = ExpertMerging.Weights.usage.rawValue

    @Option(help: ArgumentHelp("The analysis (default: the run's analysis/analysis.json).", valueName: "file"))
    var analysis: String?

    @Option(help: ArgumentHelp("The folder to be made.", valueName: "folder"))
    var out: String?

    @Flag(help: "Show which experts would be merged, and write nothing.")
    var dryRun = false

    @Flag(help: .verify)
    var verify = false

    @OptionGroup var calibration: CalibrationOptions

    @OptionGroup var options: CheckpointOptions

    func run() throws {
        guard dryRun || out != nil else { throw CommandFailure(.usage, "--out must name the folder to be made; or --dry-run") }
        if let out { try requirePath(out, of: "--out") }
        var merging = ExpertMerging(groups: try strataSizes(groups, of: "--groups"))
        merging.decoderGroups = try decoderGroups.map { try strataSizes($0, of: "--decoder-groups") }
        merging.metric = try namedChoice(metric, of: "--metric")
        merging.weights = try namedChoice(weights, of: "--weights")
        let run = try RunFolder(existing: folder), choice = try options.choice()
        if let out, !dryRun { try requireNew(out) }
        let model = try StoredModel(run, choice, averaged: options.average) { warn("\($0); using another one") }
        try model.requireItsParameters()
        let usage = merging.weights == .usage ? try ExpertUse(analysis ?? run.analysis, for: model, folder).first : [:]
        let rows =
            merging.metric == .cka
            ? try calibrationRows(of: model, folder, tokens: calibration.calibrationTokens, data: calibration.place.data)
            : CalibrationRows(dim: model.configuration.model.dim, rows: [:])
        var lines: [[String]] = []
        let merged = try model.merged(merging, rows: rows, usage: usage) { block, groups in
            for (number, group) in groups.enumerated() {
                lines.append([
                    block, "\(number)", group.members.map(String.init).joined(separator: " "),
                    group.weights.map { NumberText.decimal($0, 3) }.joined(separator: " "),
                    NumberText.decimal(group.similarity, 3),
                ])
            }
        }
        print(
            Table(header: ["block", "expert", "made of", "weights", "similarity"], rows: lines).text, terminator: "")
        guard let out, !dryRun else { return }
        if verify { print(try verification(of: merged, from: model, folder, data: calibration.place.data, isExact: false)) }
        let bytes = try ModelExport.write(merged, to: out)
        print(writtenText(merged, bytes: bytes, out))
    }
}
