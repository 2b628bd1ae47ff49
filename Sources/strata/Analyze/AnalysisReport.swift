import Evaluation
import Files
import Foundation
import Reporting

/// Writes a routing analysis: `analysis.json` and the tables, for people and for programs.
struct AnalysisReport {
    let folder: String
    /// The folder of the files until all are complete: an analysis that was there before stays until then.
    private let partial: String
    private let tokens: FileWriter

    /// Creates the folder if need be, and begins the table that grows with every direction.
    init(folder: String) throws {
        self.folder = folder
        partial = Folder.partial(folder.withoutTrailingSlashes)
        try Folder.create(folder)
        try Folder.createEmpty(partial)
        tokens = try FileWriter(path: "\(partial)/\(RoutingAnalysis.tokenFile)")
        try tokens.write(RoutingAnalysis.tokenHeader)
    }

    func append(tokenLines: String) throws { try tokens.write(tokenLines) }

    /// Writes what is complete once all directions are, and puts every file in its place; others of the folder are left alone.
    func finish(_ analysis: RoutingAnalysis) throws {
        _ = try tokens.finish()
        let files = analysis.csvFiles + [("analysis.json", try Self.json(analysis))]
        for (name, text) in files {
            try FileWriter.write(text, to: "\(partial)/\(name)")
        }
        for name in [RoutingAnalysis.tokenFile] + files.map(\.0) {
            try Folder.rename("\(partial)/\(name)", to: "\(folder)/\(name)")
        }
        try Folder.sync(folder)
    }

    /// Removes what is unfinished.
    func removePartial() { try? FileManager.default.removeItem(atPath: partial) }

    static func json(_ analysis: RoutingAnalysis) throws -> String {
        try JSONText.pretty(analysis)
    }

    /// RC by direction and by block.
    static func text(_ analysis: RoutingAnalysis) -> String {
        let blocks = analysis.rcByBlock.filter { $0.direction == analysis.rcByDirection.first?.direction }
        let capacities = Dictionary(grouping: analysis.rcByBlock, by: \.direction)
        func row(_ name: String, _ encoder: Double, _ decoder: Double, _ byBlock: [Double]) -> [String] {
            [name] + ([encoder, decoder] + byBlock).map { NumberText.decimal($0, 2) }
        }
        var rows = analysis.rcByDirection.map {
            row($0.direction, $0.encoder, $0.decoder, (capacities[$0.direction] ?? []).map(\.rc))
        }
        let means = blocks.indices.map { block in
            capacities.values.reduce(0) { $0 + $1[block].rc } / Double(capacities.count)
        }
        rows.append(row("average", analysis.average.encoder, analysis.average.decoder, means))
        return Table(
            header: ["RC", "encoder", "decoder"] + blocks.map { "\($0.side == .encoder ? "enc" : "dec").\($0.layer)" },
            rows: rows
        ).text
    }
}
