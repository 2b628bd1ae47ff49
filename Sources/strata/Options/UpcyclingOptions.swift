import ArgumentParser
import ModelSurgery
import Runs

/// Which dense model becomes a mixture, and what kind of one.
struct UpcyclingOptions: ParsableArguments {
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
        parsing: .unconditional, help: ArgumentHelp("What gates, and all else that is random, are drawn by.", valueName: "n"))
    var seed: UInt64 = 1

    @Flag(help: .moments)
    var moments = false

    @Flag(help: .verify)
    var verify = false

    @OptionGroup var place: DataOptions

    @OptionGroup var checkpoint: CheckpointOptions

    /// - Throws: `CommandFailure` for values that no mixture can have.
    func upcycling() throws -> Upcycling {
        try requirePath(out, of: "--out")
        var upcycling = Upcycling(strata: try strataSizes(strata))
        try Self.require(scale, of: "--scale")
        (upcycling.every, upcycling.topK, upcycling.scale, upcycling.seed) = (every, topK, scale, seed)
        return upcycling
    }

    /// - Throws: `CommandFailure` unless a factor is 0 to 1000.
    static func require(_ factor: Float, of option: String) throws {
        guard factor >= 0, factor <= 1000 else {
            throw CommandFailure(.usage, "\(option) must be 0 to 1000, but is \(factor)")
        }
    }

    /// The dense model. `--out` is seen to name nothing that exists first.
    func model() throws -> StoredModel {
        let run = try RunFolder(existing: folder), choice = try checkpoint.choice()
        try requireNew(out)
        return try StoredModel(run, choice, averaged: checkpoint.average, withMoments: moments) {
            warn("\($0); using another one")
        }
    }

    /// Writes what was made of the model, compared with it before where that is asked for.
    ///
    /// - Returns: What it is, for people; `otherwise` names the options that make it another function.
    func write(
        _ made: StoredModel, of model: StoredModel, _ upcycling: Upcycling, otherwise options: String
    ) throws -> String {
        if verify { print(try verification(of: made, from: model, folder, data: place.data, isExact: upcycling.isExact)) }
        let bytes = try ModelExport.write(made, to: out)
        let remark = upcycling.isExact ? "the same function to rounding" : "another function (\(options))"
        return writtenText(made, remark, bytes: bytes, out)
    }
}
