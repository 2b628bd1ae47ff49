import ArgumentParser
import Files
import Foundation
import Reporting
import Runs

/// `strata report`: one HTML file about one run, or about several side by side.
struct ReportCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "report",
        abstract: "Write one HTML file about a run, or about several side by side.",
        discussion: """
            Shows what there is: the training curves and expert load of metrics.jsonl, the scores that strata evaluate and the \
            routing that strata analyze left in the run folder. A run may be training meanwhile. The file needs no network and \
            no other file.

            Example:
              strata report runs/quickstart
              strata report runs/dense runs/vanilla runs/smoe --out comparison.html
            """)

    @Argument(help: ArgumentHelp("The folders of the runs.", valueName: "run"))
    var folders: [String]

    @Option(
        help: ArgumentHelp(
            "The file to write; by default report.html in the run folder, or, of several runs, here.", valueName: "file"))
    var out: String?

    func run() throws {
        if let out { try requirePath(out, of: "--out", names: "a file") }
        let names = Self.names(folders)
        let runs = try zip(folders, names).map { folder, name in
            try RunFigures(RunFolder(existing: folder), name: name)
        }
        let path = out ?? (folders.count == 1 ? "\(folders[0])/report.html" : "report.html")
        let format = Date.ISO8601FormatStyle.iso8601.year().month().day().time(includingFractionalSeconds: false)
        let date = Date.now.formatted(format.dateTimeSeparator(.space))
        let html = Report(runs: runs, date: "\(date) UTC").html
        try FileWriter.replace(path, with: html)
        print(path)
    }

    /// The last parts of the folders' paths, as many as tell them apart; of one folder given twice, with a number.
    static func names(_ folders: [String]) -> [String] {
        let paths = folders.map { Array(URL(fileURLWithPath: $0).standardizedFileURL.pathComponents.drop { $0 == "/" }) }
        func names(_ parts: Int) -> [String] { paths.map { $0.suffix(parts).joined(separator: "/") } }
        let deepest = paths.map(\.count).max() ?? 1
        let parts = (1...max(deepest, 1)).first { Set(names($0)).count == folders.count } ?? 1
        var seen: [String: Int] = [:]
        return names(parts).map { name in
            seen[name, default: 0] += 1
            return seen[name] == 1 ? name : "\(name) (\(seen[name]!))"
        }
    }
}
