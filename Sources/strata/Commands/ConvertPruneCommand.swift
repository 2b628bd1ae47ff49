import ArgumentParser
import Evaluation
import Files
import Foundation
import ModelSurgery
import Reporting
import Runs
import TensorCore

/// `strata convert prune`: a model without some of its experts.
struct ConvertPruneCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "prune",
        abstract: "Leave out the experts that matter least.",
        discussion: """
            How much an expert matters is read from what strata analyze found (by default on the test split). Of every \
            stratum the same share stays in each block, at least one expert. --dry-run shows what would go, and writes nothing.

            Example:
              strata analyze runs/quickstart --split valid
              strata convert prune runs/quickstart --keep 0.5 --out exports/half
            """)

    @Argument(help: ArgumentHelp("The folder of the run, or of an export.", valueName: "run"))
    var folder: String

    @Option(parsing: .unconditional, help: ArgumentHelp("The share of each stratum's experts that stays.", valueName: "share"))
    var keep: Double

    @Option(help: ArgumentHelp("By what: importance, top1, top2, vanilla or random.", valueName: "metric"))
    var by = "importance"

    @Option(parsing: .unconditional, help: ArgumentHelp("What --by random draws by.", valueName: "n"))
    var seed: UInt64 = 1

    @Option(help: ArgumentHelp("The analysis (default: the run's analysis/analysis.json).", valueName: "file"))
    var analysis: String?

    @Option(help: ArgumentHelp("The folder to be made.", valueName: "folder"))
    var out: String?

    @Flag(help: "Show which experts would go, and write nothing.")
    var dryRun = false

    @OptionGroup var options: CheckpointOptions

    func run() throws {
        guard keep > 0, keep <= 1 else { throw CommandFailure(.usage, "--keep must be above 0 and at most 1, but is \(keep)") }
        guard let metric = PruningMetric(rawValue: by) else {
            let names = PruningMetric.allCases.map(\.rawValue).joined(separator: ", ")
            throw CommandFailure(.usage, "--by must be one of \(names), but is \(by)")
        }
        guard dryRun || out != nil else { throw CommandFailure(.usage, "--out must name the folder to be made; or --dry-run") }
        if let out { try requirePath(out, of: "--out") }
        let run = try RunFolder(existing: folder), choice = try options.choice()
        if let out, !dryRun { try requireNew(out) }
        let model = try StoredModel(run, choice, averaged: options.average) { warn("\($0); using another one") }
        let found = try read(analysis ?? run.analysis, for: model)
        let prunings = Dictionary(
            uniqueKeysWithValues: uses(found).map { block, gates in
                (block, BlockPruning(gates, strata: found.strata, keep: keep, by: metric, random: random(block, found.strata)))
            })
        print(Self.table(prunings, strata: found.strata).text, terminator: "")
        let text =
            "pruned to \(keep) of each stratum's experts by \(metric.rawValue), kept "
            + prunings.sorted { $0.key < $1.key }
            .map { "\($0.key) \($0.value.kept)" }.joined(separator: ", ")
        let pruned = try model.pruned(keeping: prunings.mapValues(\.kept), as: text)
        guard let out, !dryRun else { return }
        let bytes = try ModelExport.write(pruned, to: out)
        let sizes = (pruned.configuration.model.mixture?.strata ?? []).map(String.init).joined(separator: "-")
        print("strata \(sizes) of update \(model.step), \(NumberText.mebibytes(bytes)) MiB, in \(out)")
    }

    /// - Throws: `CommandFailure` where there is no analysis, or one of another model.
    private func read(_ path: String, for model: StoredModel) throws -> RoutingAnalysis {
        guard FileManager.default.fileExists(atPath: path) else {
            throw CommandFailure(
                .data, "\(path): must be what strata analyze wrote, but is absent: run strata analyze \(folder) first")
        }
        guard let found = try? JSONDecoder().decode(RoutingAnalysis.self, from: FileReader(path: path).contents()) else {
            throw CommandFailure(.data, "\(path): must be what strata analyze wrote, but cannot be read as that")
        }
        guard found.strata == model.configuration.model.mixture?.strata else {
            throw CommandFailure(
                .usage,
                "\(path): must be of strata \(model.configuration.model.mixture?.strata ?? []), but is of \(found.strata)")
        }
        let experts = found.strata.reduce(0, +)
        let isWhole = found.expertLoad.allSatisfy { load in
            [load.first.count, load.second.count, load.confidence?.count ?? experts].allSatisfy { $0 == experts }
                && found.strata.indices.contains(load.gate)
        }
        guard isWhole, !found.expertLoad.isEmpty else {
            throw CommandFailure(
                .data, "\(path): must have the load of \(experts) experts for every gate, but has not: run strata analyze again"
            )
        }
        guard found.expertLoad.allSatisfy({ $0.confidence != nil }) else {
            throw CommandFailure(
                .data, "\(path): must say experts' confidence, but was made before it did: run strata analyze again")
        }
        if found.step != model.step { warn("\(path) is of update \(found.step), the model of update \(model.step)") }
        return found
    }

    /// What the gates of each block did, over all directions.
    private func uses(_ found: RoutingAnalysis) -> [String: [GateUse]] {
        var uses: [String: [GateUse]] = [:]
        for load in found.expertLoad {
            let use = GateUse(tokens: load.tokens, first: load.first, second: load.second, confidence: load.confidence!)
            let block = "\(load.side.rawValue).layers.\(load.layer).moe"
            // Rows of a direction and block are ordered by gate.
            if load.gate < uses[block, default: []].count {
                uses[block]![load.gate] = uses[block]![load.gate] + use
            } else {
                uses[block, default: []].append(use)
            }
        }
        return uses
    }

    private func random(_ block: String, _ strata: [Int]) -> [Double] {
        let key = RandomKey(seed: seed).derived(block)
        return (0..<strata.reduce(0, +)).map { Double(key.uniform($0)) }
    }

    private static func table(_ prunings: [String: BlockPruning], strata: [Int]) -> Table {
        Table(
            header: ["block", "stratum", "kept", "pruned", "share of what is kept"],
            rows: prunings.sorted { $0.key < $1.key }.flatMap { block, pruning -> [[String]] in
                var first = 0
                return strata.enumerated().map { stratum, size in
                    let experts = first..<first + size, kept = pruning.kept.filter(experts.contains)
                    first += size
                    let text = { (ids: [Int]) in ids.isEmpty ? "-" : ids.map(String.init).joined(separator: " ") }
                    return [
                        block, "\(stratum)", text(kept), text(experts.filter { !kept.contains($0) }),
                        NumberText.decimal(100 * kept.reduce(0) { $0 + pruning.shares[$1] }, 1) + "%",
                    ]
                }
            })
    }
}
