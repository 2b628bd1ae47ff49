import ArgumentParser
import ModelSurgery
import Reporting
import Runs

/// `strata convert upcycle`: a mixture of experts of a dense model.
struct ConvertUpcycleCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "upcycle",
        abstract: "Make a mixture of experts whose experts are copies of a dense model's networks.",
        discussion: """
            The model computes the same as before, to rounding: weights of a token's experts add up to 1, and strata after the \
            first begin with a scale of 0, which training moves. --scale and --noise give that up. With --adapters the network \
            stays as it is, and experts are small adapters behind it, which begin by adding 0.

            Example:
              strata convert upcycle runs/dense --strata 4,4 --out exports/upcycled
              strata train my.yaml --from exports/upcycled --out runs/upcycled
              strata convert upcycle runs/dense --strata 8 --adapters 64 --out pesc
            """)

    @Argument(help: ArgumentHelp("The folder of the run, or of an export.", valueName: "run"))
    var folder: String

    @Option(help: ArgumentHelp("The experts of each stratum, such as 4,4.", valueName: "n,n"))
    var strata: String

    @Option(help: ArgumentHelp("The folder to be made.", valueName: "folder"))
    var out: String

    @Option(parsing: .unconditional, help: ArgumentHelp("Every how many layers the network becomes a mixture.", valueName: "n"))
    var every = 2

    @Option(
        name: .customLong("top-k"), parsing: .unconditional, help: ArgumentHelp("Choices of a token at a gate.", valueName: "n")
    )
    var topK = 2

    @Option(parsing: .unconditional, help: ArgumentHelp("The scale that strata after the first begin with.", valueName: "x"))
    var scale: Float = 0

    @Option(
        parsing: .unconditional,
        help: ArgumentHelp("Multiply experts' weights by 1 + x times a normal number, so that they differ.", valueName: "x"))
    var noise: Float = 0

    @Option(
        parsing: .unconditional,
        help: ArgumentHelp("Make the experts adapters of this width behind the network, which all share.", valueName: "n"))
    var adapters: Int?

    @Option(parsing: .unconditional, help: ArgumentHelp("What gates, adapters and noise are drawn by.", valueName: "n"))
    var seed: UInt64 = 1

    @Flag(help: .verify)
    var verify = false

    @OptionGroup var place: DataOptions

    @OptionGroup var options: CheckpointOptions

    func run() throws {
        try requirePath(out, of: "--out")
        let sizes = try strataSizes(strata)
        for (name, value) in [("--scale", scale), ("--noise", noise)] where !(value >= 0 && value <= 1000) {
            throw CommandFailure(.usage, "\(name) must be 0 to 1000, but is \(value)")
        }
        if let adapters, !(1...1_048_576).contains(adapters) {
            throw CommandFailure(.usage, "--adapters must be 1 to 1048576, but is \(adapters)")
        }
        let run = try RunFolder(existing: folder), choice = try options.choice()
        try requireNew(out)
        var upcycling = Upcycling(strata: sizes)
        (upcycling.every, upcycling.topK, upcycling.scale) = (every, topK, scale)
        (upcycling.noise, upcycling.seed, upcycling.adapters) = (noise, seed, adapters)
        let model = try StoredModel(run, choice, averaged: options.average) { warn("\($0); using another one") }
        let upcycled = try model.upcycled(upcycling)
        if verify { print(try verification(of: upcycled, from: model, folder, data: place.data, isExact: upcycling.isExact)) }
        let bytes = try ModelExport.write(upcycled, to: out)
        print(
            "strata \(sizes.map(String.init).joined(separator: "-")) of update \(model.step), "
                + (upcycling.isExact ? "the same function to rounding" : "another function (--scale, --noise)")
                + ", \(NumberText.mebibytes(bytes)) MiB, in \(out)")
    }
}
