import ArgumentParser
import ModelSurgery

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

    @OptionGroup var options: UpcyclingOptions

    @Option(
        parsing: .unconditional,
        help: ArgumentHelp("Multiply experts' weights by 1 + x times a normal number, so that they differ.", valueName: "x"))
    var noise: Float = 0

    @Option(
        parsing: .unconditional,
        help: ArgumentHelp("Make the experts adapters of this width behind the network, which all share.", valueName: "n"))
    var adapters: Int?

    func run() throws {
        var upcycling = try options.upcycling()
        try UpcyclingOptions.require(noise, of: "--noise")
        if let adapters, !(1...1_048_576).contains(adapters) {
            throw CommandFailure(.usage, "--adapters must be 1 to 1048576, but is \(adapters)")
        }
        (upcycling.noise, upcycling.adapters) = (noise, adapters)
        let model = try options.model()
        print(try options.write(model.upcycled(upcycling), of: model, upcycling, otherwise: "--scale, --noise"))
    }
}
