import ArgumentParser
import DataPipeline
import Foundation
import Reporting
import TensorCore

/// `strata prepare`: tokenizer and shards, under `data.prepared`.
struct PrepareCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "prepare",
        abstract: "Train the tokenizer and write the token shards that training reads.",
        discussion: """
            Reads the text that the configuration's data section names, reports what cannot be used, and writes the \
            folder data.prepared. Done again with the same text and settings, it does nothing. A folder that a run was \
            trained on is not made anew from other text or settings unless --force is given.

            Example:
              strata prepare configs/quickstart.yaml
            """)

    @OptionGroup var options: ConfigurationOptions

    @Flag(help: "Replace prepared data of other text or settings even if runs were trained on them.")
    var force = false

    func run() throws {
        let data = try options.load().data
        let display = ProgressDisplay(interval: 5)
        let start = ContinuousClock.now
        let report = try PreparedCorpus.prepare(configuration: data, force: force) { progress in
            display.show(Self.line(progress))
        }
        for remark in report.remarks { display.note("warning: \(remark)") }
        if report.alreadyPrepared {
            display.note("\(report.path): already prepared from this text with these settings")
        } else {
            display.note("\(report.path): prepared\(Self.cost(report, ContinuousClock.now - start))")
        }
        print(Self.summary(report), terminator: "")
    }

    /// What a preparation that did something took.
    private static func cost(_ report: PreparationReport, _ time: Duration) -> String {
        let lines = 2 * report.manifest.parts.reduce(0) { $0 + $1.count + $1.skipped.total }
        let seconds = max(time / .seconds(1), 1e-3)
        let memory = Int(ProcessStatus.peakResidentMebibytes.rounded())
        return
            ", \(NumberText.count(lines)) lines in \(NumberText.decimal(seconds, 1)) s, \(NumberText.count(Int(Double(lines) / seconds)))"
            + " a second, at most \(NumberText.count(memory)) MiB of memory"
    }

    private static func line(_ progress: PreparationProgress) -> String {
        let detail = progress.detail.isEmpty ? "" : "  \(progress.detail)"
        switch progress.phase {
        case .examining: return "examining text  \(progress.done + 1)/\(progress.total)\(detail)"
        case .reading: return "reading text  \(progress.done + 1)/\(progress.total)\(detail)"
        case .tokenizer: return "training the tokenizer on \(NumberText.count(progress.total)) sentences\(detail)"
        case .tokenizing:
            let percent = progress.total > 0 ? 100 * progress.done / progress.total : 100
            return "tokenizing  \(percent)% of \(NumberText.count(progress.total)) pairs\(detail)"
        }
    }

    private static func summary(_ report: PreparationReport) -> String {
        let manifest = report.manifest
        var text = "vocabulary \(NumberText.count(manifest.vocabularySize)), "
        text += "languages \(manifest.languages.joined(separator: " "))\n"
        // What is 0 everywhere has no column.
        let columns = Self.columns.filter { column in column.isAlways || manifest.parts.contains { column.value($0) > 0 } }
        text +=
            Table(
                header: ["pair", "split"] + columns.map(\.name),
                rows: manifest.parts.map { part in
                    [part.pair, part.split.rawValue] + columns.map { NumberText.count($0.value(part)) }
                }
            ).text
        for part in manifest.parts {
            guard let corpora = part.corpora else { continue }
            let counts = corpora.map { "\($0.name) \(NumberText.count($0.count))" }.joined(separator: ", ")
            text += "\(part.pair) \(part.split.rawValue): \(counts)\n"
        }
        return text
    }

    private typealias Column = (name: String, isAlways: Bool, value: @Sendable (PreparationManifest.Part) -> Int)

    private static let columns: [Column] = {
        var columns: [Column] = [("pairs", true, { $0.count }), ("skipped", true, { $0.skipped.total })]
        for (index, reason) in SkippedPairs().counts.map(\.reason).enumerated() {
            columns.append((reason, false, { $0.skipped.counts[index].pairs }))
        }
        columns.append(("long, kept", false, { $0.longKept ?? 0 }))
        return columns
    }()
}
