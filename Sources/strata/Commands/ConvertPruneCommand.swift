import ArgumentParser
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
            stratum the same share stays in each block of a side, at least one expert. --dry-run shows what would go, and writes \
            nothing.

            Example:
              strata analyze runs/quickstart --split valid
              strata convert prune runs/quickstart --keep 0.5 --out exports/half
              strata convert prune runs/six --keep 0.75 --decoder-keep 0.25 --out less
            """)

    @Argument(help: ArgumentHelp("The folder of the run, or of an export.", valueName: "run"))
    var folder: String

    @Option(parsing: .unconditional, help: ArgumentHelp("The share of each stratum's experts that stays.", valueName: "share"))
    var keep: Double?

    @Option(
        parsing: .unconditional,
        help: ArgumentHelp("The same in the decoder's blocks, where it is another (default: as --keep).", valueName: "share"))
    var decoderKeep: Double?

    @Option(
        help: ArgumentHelp(
            "In place of --keep: JSON with the experts of each block that stay, such as {\"encoder.layers.1.moe\": [0, 2]}.",
            valueName: "file"))
    var list: String?

    @Option(help: ArgumentHelp("By what: importance, top1, top2, vanilla or random.", valueName: "metric"))
    var by = "importance"

    @Option(parsing: .unconditional, help: ArgumentHelp("What --by random draws by.", valueName: "n"))
    var seed: UInt64 = 1

    @Option(help: ArgumentHelp("Count this direction's tokens alone; may be repeated.", valueName: "src-tgt"))
    var direction: [String] = []

    @Option(help: ArgumentHelp("The analysis (default: the run's analysis/analysis.json).", valueName: "file"))
    var analysis: String?

    @Option(help: ArgumentHelp("The folder to be made.", valueName: "folder"))
    var out: String?

    @Flag(help: "Show which experts would go, and write nothing.")
    var dryRun = false

    @Flag(help: .moments)
    var moments = false

    @Flag(help: .verify)
    var verify = false

    @OptionGroup var place: DataOptions

    @OptionGroup var options: CheckpointOptions

    func run() throws {
        guard (keep == nil) != (list == nil) else {
            throw CommandFailure(.usage, "--keep or --list must say which experts stay, and not both")
        }
        guard decoderKeep == nil || list == nil else {
            throw CommandFailure(.usage, "--decoder-keep is for --keep; --list says which experts of the decoder's blocks stay")
        }
        for (name, share) in [("--keep", keep), ("--decoder-keep", decoderKeep)] {
            guard let share, !(share > 0 && share <= 1) else { continue }
            throw CommandFailure(.usage, "\(name) must be above 0 and at most 1, but is \(share)")
        }
        guard let metric = PruningMetric(rawValue: by) else {
            let names = PruningMetric.allCases.map(\.rawValue).joined(separator: ", ")
            throw CommandFailure(.usage, "--by must be one of \(names), but is \(by)")
        }
        guard dryRun || out != nil else { throw CommandFailure(.usage, "--out must name the folder to be made; or --dry-run") }
        if let out { try requirePath(out, of: "--out") }
        let run = try RunFolder(existing: folder), choice = try options.choice()
        if let out, !dryRun { try requireNew(out) }
        let model = try StoredModel(run, choice, averaged: options.average, withMoments: moments) {
            warn("\($0); using another one")
        }
        try model.requireItsParameters()
        let prunings = try list.map { try listed($0, model) } ?? measured(metric, analysis ?? run.analysis, model)
        print(Self.table(prunings, model).text, terminator: "")
        let of = direction.isEmpty ? "" : " for \(direction.joined(separator: ", "))"
        let share = keep.map { "\($0)" + (decoderKeep.map { " (decoder \($0))" } ?? "") }
        let way = share.map { "to \($0) of each stratum's experts by \(metric.rawValue)" + of } ?? "by a list"
        let kept = prunings.sorted { $0.key < $1.key }.map { "\($0.key) \($0.value.kept)" }.joined(separator: ", ")
        let text = "pruned \(way), kept \(kept)"
        let pruned = try model.pruned(keeping: prunings.mapValues(\.kept), as: text)
        guard let out, !dryRun else { return }
        if verify {
            print(
                try verification(of: pruned, from: model, folder, data: place.data, isExact: keep == 1 && decoderKeep ?? 1 == 1)
            )
        }
        let bytes = try ModelExport.write(pruned, to: out)
        print(writtenText(pruned, bytes: bytes, out))
    }

    /// By what gates did on some text, or by draws, which need none.
    private func measured(_ metric: PruningMetric, _ path: String, _ model: StoredModel) throws -> [String: BlockPruning] {
        func pruning(_ block: String, _ gates: [GateUse]) -> BlockPruning {
            let strata = Self.strata(of: block, model), share = block.hasPrefix("decoder.") ? decoderKeep ?? keep : keep
            return BlockPruning(gates, strata: strata, keep: share ?? 1, by: metric, random: random(block, strata))
        }
        guard metric != .random else {
            try ExpertUse.requireExperts(of: model, folder)
            let blocks = model.configuration.model.blockNames
            return Dictionary(uniqueKeysWithValues: blocks.map { ($0, pruning($0, [])) })
        }
        let gates = try ExpertUse(path, for: model, folder, directions: direction).gates
        return Dictionary(uniqueKeysWithValues: gates.map { ($0, pruning($0, $1)) })
    }

    /// As a file says.
    ///
    /// - Throws: `CommandFailure` for a file that is no such list, or names experts that there are not; `FileError`.
    private func listed(_ path: String, _ model: StoredModel) throws -> [String: BlockPruning] {
        guard let list = try? JSONDecoder().decode([String: [Int]].self, from: FileReader(path: path).contents()) else {
            throw CommandFailure(
                .data, "\(path): must be a JSON map from blocks to lists of experts, but cannot be read as that")
        }
        let blocks = model.configuration.model.mixture == nil ? [] : model.configuration.model.blockNames
        guard Set(list.keys) == Set(blocks) || blocks.isEmpty else {
            throw CommandFailure(
                .data,
                "\(path): must name the model's blocks, \(blocks.joined(separator: ", ")), but names "
                    + (list.isEmpty ? "none" : list.keys.sorted().joined(separator: ", ")))
        }
        for (block, kept) in list {
            let experts = 0..<Self.strata(of: block, model).reduce(0, +)
            guard Set(kept).count != kept.count || !kept.allSatisfy(experts.contains) else { continue }
            throw CommandFailure(
                .data, "\(path): \(block) must have different experts from 0 to \(experts.upperBound - 1), but has \(kept)")
        }
        return Dictionary(
            uniqueKeysWithValues: list.map { ($0, BlockPruning(kept: $1, strata: Self.strata(of: $0, model))) })
    }

    private static func strata(of block: String, _ model: StoredModel) -> [Int] {
        model.configuration.model.mixture(ofBlock: block)?.strata ?? []
    }

    private func random(_ block: String, _ strata: [Int]) -> [Double] {
        let key = RandomKey(seed: seed).derived(block)
        return (0..<strata.reduce(0, +)).map { Double(key.uniform($0)) }
    }

    private static func table(_ prunings: [String: BlockPruning], _ model: StoredModel) -> Table {
        Table(
            header: ["block", "stratum", "kept", "pruned", "share of what is kept"],
            rows: prunings.sorted { $0.key < $1.key }.flatMap { block, pruning -> [[String]] in
                var first = 0
                return strata(of: block, model).enumerated().map { stratum, size in
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
