import ArgumentParser
import ModelSurgery
import Reporting
import Runs
import Synchronization

/// `strata convert mpoe`: a mixture whose experts have most of their parameters in common, of a dense model.
struct ConvertMPOECommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "mpoe",
        abstract: "Make a mixture whose experts are chains of tensors with the largest in common.",
        discussion: """
            The matrices of a dense model's networks are decomposed into five tensors. Experts share the central one, which has \
            most of the parameters, and have copies of the others. Without --truncate the model computes the same as before, to \
            rounding; with it bonds are cut to the largest singular values, and the table shows how far each matrix is off.

            Example:
              strata convert mpoe runs/dense --strata 4,4 --out exports/mpoe
              strata convert mpoe runs/dense --strata 8 --truncate 64 --out small
            """)

    @Argument(help: ArgumentHelp("The folder of the run, or of an export.", valueName: "run"))
    var folder: String

    @Option(help: ArgumentHelp("The experts of each stratum, such as 4,4.", valueName: "n,n"))
    var strata: String

    @Option(help: ArgumentHelp("The folder to be made.", valueName: "folder"))
    var out: String

    @Option(
        parsing: .unconditional, help: ArgumentHelp("The largest bond (default: any matrix is kept whole).", valueName: "n"))
    var truncate: Int?

    @Option(parsing: .unconditional, help: ArgumentHelp("Every how many layers the network becomes a mixture.", valueName: "n"))
    var every = 2

    @Option(
        name: .customLong("top-k"), parsing: .unconditional, help: ArgumentHelp("Choices of a token at a gate.", valueName: "n")
    )
    var topK = 2

    @Option(parsing: .unconditional, help: ArgumentHelp("The scale that strata after the first begin with.", valueName: "x"))
    var scale: Float = 0

    @Option(parsing: .unconditional, help: ArgumentHelp("What gates are drawn by.", valueName: "n"))
    var seed: UInt64 = 1

    @Flag(help: .verify)
    var verify = false

    @OptionGroup var place: DataOptions

    @OptionGroup var options: CheckpointOptions

    func run() throws {
        try requirePath(out, of: "--out")
        var upcycling = Upcycling(strata: try strataSizes(strata))
        guard scale >= 0, scale <= 1000 else {
            throw CommandFailure(.usage, "--scale must be 0 to 1000, but is \(scale)")
        }
        guard (1...1_048_576).contains(truncate ?? 1) else {
            throw CommandFailure(.usage, "--truncate must be 1 to 1048576, but is \(truncate ?? 0)")
        }
        (upcycling.every, upcycling.topK, upcycling.scale, upcycling.seed) = (every, topK, scale, seed)
        (upcycling.isFactorised, upcycling.truncation) = (true, truncate)
        let run = try RunFolder(existing: folder), choice = try options.choice()
        try requireNew(out)
        let model = try StoredModel(run, choice, averaged: options.average) { warn("\($0); using another one") }
        let errors = Mutex<[(matrix: String, error: Double)]>([])
        let factorised = try model.upcycled(upcycling) { matrix, error in
            let isNew = errors.withLock { known in
                if known.contains(where: { $0.matrix == matrix }) { return false }
                known.append((matrix, error))
                return true
            }
            if isNew { ProgressDisplay().note("\(matrix) is decomposed") }
        }
        if verify { print(try verification(of: factorised, from: model, folder, data: place.data, isExact: upcycling.isExact)) }
        let bytes = try ModelExport.write(factorised, to: out)
        let rows = errors.withLock { $0 }.sorted { $0.matrix < $1.matrix }
        let table = Table(
            header: ["matrix", "relative error"], rows: rows.map { [$0.matrix, NumberText.decimal($0.error, 6)] })
        print(
            table.text + "strata \(upcycling.strata.map(String.init).joined(separator: "-")) of update \(model.step), "
                + (upcycling.isExact ? "the same function to rounding" : "another function (--truncate, --scale)")
                + ", \(NumberText.mebibytes(bytes)) MiB, in \(out)")
    }
}
