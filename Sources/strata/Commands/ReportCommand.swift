import ArgumentParser
import Checkpoints
import DataPipeline
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
              strata report runs/quickstart --watch
            """)

    @Argument(help: ArgumentHelp("The folders of the runs.", valueName: "run"))
    var folders: [String]

    @Option(
        help: ArgumentHelp(
            "The file to write; by default report.html in the run folder, or, of several runs, here.", valueName: "file"))
    var out: String?

    @Flag(
        help: """
            Write the file again whenever there are new figures, in a page that reloads itself, until the last checkpoint of \
            every run is written, or Ctrl-C.
            """)
    var watch = false

    /// Seconds between looks at the runs, and between those of a browser at the page.
    private static let interval = 2, reloadSeconds = 5

    func run() throws {
        if let out { try requirePath(out, of: "--out", names: "a file") }
        let path = out ?? (folders.count == 1 ? "\(folders[0])/report.html" : "report.html")
        guard watch else {
            try write(try figures(), to: path)
            print(path)
            return
        }
        StopRequest.listen()
        var seen = try state, figures = try figures()
        try write(figures, to: path, reloads: true)
        print(path)
        fflush(nil)
        while !StopRequest.isMade, try !zip(folders, figures).allSatisfy(isDone) {
            usleep(UInt32(Self.interval) * 1_000_000)
            let now = try state
            guard now != seen else { continue }
            (seen, figures) = (now, try self.figures())
            try write(figures, to: path, reloads: true)
        }
        try write(figures, to: path)
    }

    private func figures() throws -> [RunFigures] {
        try zip(folders, Self.names(folders)).map { folder, name in try RunFigures(RunFolder(existing: folder), name: name) }
    }

    private func write(_ runs: [RunFigures], to path: String, reloads: Bool = false) throws {
        let format = Date.ISO8601FormatStyle.iso8601.year().month().day().time(includingFractionalSeconds: false)
        let date = Date.now.formatted(format.dateTimeSeparator(.space))
        let report = Report(runs: runs, date: "\(date) UTC", reloadSeconds: reloads ? Self.reloadSeconds : nil)
        try FileWriter.replace(path, with: report.html)
    }

    /// Whether a run's last update is done, and what comes after it: validation, and then a checkpoint.
    private func isDone(_ path: String, _ run: RunFigures) throws -> Bool {
        let updates = try CheckpointStore.steps(RunFolder(existing: path).checkpoints)
        return run.history.updates.last?.update ?? 0 >= run.plannedUpdates && updates.contains { $0 >= run.plannedUpdates }
    }

    /// What of the files of the runs changes when there are new figures.
    private var state: [String] {
        get throws {
            try folders.flatMap { path in
                let folder = try RunFolder(existing: path)
                return ([folder.configuration, folder.metrics, folder.analysis] + Split.allCases.map(folder.evaluation)).map {
                    let attributes = try? FileManager.default.attributesOfItem(atPath: $0)
                    return "\(attributes?[.size] ?? 0) \(attributes?[.modificationDate] ?? 0)"
                }
            }
        }
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
