import ArgumentParser
import ModelSurgery
import Reporting
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

    @OptionGroup var options: UpcyclingOptions

    @Option(
        parsing: .unconditional, help: ArgumentHelp("The largest bond (default: any matrix is kept whole).", valueName: "n"))
    var truncate: Int?

    func run() throws {
        var upcycling = try options.upcycling()
        guard (1...1_048_576).contains(truncate ?? 1) else {
            throw CommandFailure(.usage, "--truncate must be 1 to 1048576, but is \(truncate ?? 0)")
        }
        (upcycling.isFactorised, upcycling.truncation) = (true, truncate)
        let model = try options.model()
        let errors = Mutex<[(matrix: String, error: Double)]>([])
        let factorised = try model.upcycled(upcycling) { matrix, error in
            let isNew = errors.withLock { known in
                if known.contains(where: { $0.matrix == matrix }) { return false }
                known.append((matrix, error))
                return true
            }
            if isNew { ProgressDisplay().note("\(matrix) is decomposed") }
        }
        let text = try options.write(factorised, of: model, upcycling, otherwise: "--truncate, --scale")
        let rows = errors.withLock { $0 }.sorted { $0.matrix < $1.matrix }
        let table = Table(
            header: ["matrix", "relative error"], rows: rows.map { [$0.matrix, NumberText.decimal($0.error, 6)] })
        print(table.text + text)
    }
}
