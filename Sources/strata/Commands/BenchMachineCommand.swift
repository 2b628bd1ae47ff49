import ArgumentParser
import Benchmarks
import Files
import Planning
import Reporting
import TensorCore

/// `strata bench machine`: the speeds that `plan` and `simulate` predict a step's time from.
struct BenchMachineCommand: ParsableCommand, RunsOnRanks {
    static let configuration = CommandConfiguration(
        commandName: "machine",
        abstract: "The speeds that strata plan and strata simulate predict a training step's time from.",
        discussion: """
            Run it as training will run: under mpirun with as many ranks on a host, at once, and on several hosts if there will \
            be several. Ranks that share processors, or a memory's bandwidth, then do so while they are measured.

            Example:
              mpirun -n 2 strata bench machine --json > machine.json
              strata bench machine --dim 512 --compute bfloat16
            """)

    @Option(
        parsing: .unconditionalSingleValue,
        help: ArgumentHelp(
            "Width of a model; may be repeated (default: \(MachineBenchmark.usualWidths.map(String.init).joined(separator: ", "))).",
            valueName: "n"))
    var dim: [Int] = []

    @Option(help: ArgumentHelp("What products are computed in: float32, bfloat16.", valueName: "precision"))
    var compute = GEMM.Precision.float32.rawValue

    @Option(
        parsing: .unconditional, help: ArgumentHelp("Threads of a rank; the default is its share of the cores.", valueName: "n")
    )
    var threads: Int?

    @Option(parsing: .unconditional, help: ArgumentHelp("Run this many ranks as threads of one process.", valueName: "n"))
    var simulateRanks: Int?

    @Flag(help: .json)
    var json = false

    func run() throws {
        let status = try RankWorld.run(simulatedRanks: simulateRanks) { ranks in
            let precision = try ranks.together {
                for width in dim { try require("--dim", width, in: 8...8192) }
                if let threads { try require("--threads", threads, in: 1...1024) }
                guard let precision = GEMM.Precision(rawValue: compute) else {
                    let names = GEMM.Precision.allCases.map(\.rawValue).joined(separator: " or ")
                    throw CommandFailure(.usage, "--compute must be \(names), but is '\(compute)'")
                }
                try GEMM.checkTraining(in: precision)
                return precision
            }
            let figures = try ranks.machineFigures(
                MachineBenchmark(widths: dim.isEmpty ? MachineBenchmark.usualWidths : dim, precision: precision),
                threads: ranks.threads(configured: threads))
            if ranks.isFirst {
                print(json ? try JSONText.pretty(figures, keys: .convertToSnakeCase) : figures.text, terminator: "")
            }
            return .done
        }
        if status != .done { throw ExitCode(status.rawValue) }
    }
}
