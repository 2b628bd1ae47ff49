import Files
import Foundation
import Testing
import _TestSupport

@testable import Planning

@Suite struct MachineFiguresTests {
    private static let figures = MachineFigures(
        ranks: 2, hosts: 1, threads: 1, cores: 2, ranksPerMachine: 2, compute: "float32",
        widths: [
            .init(
                dim: 100, dense: 10, loss: 1, attention: 1, passes: 1,
                experts: [.init(rows: 10, speed: 2), .init(rows: 1000, speed: 4)]),
            .init(dim: 400, dense: 30, loss: 1, attention: 1, passes: 1, experts: [.init(rows: 10, speed: 6)]),
        ], optimizerBytes: 1, withinHost: .init(latency: 1, bytes: 1), betweenHosts: nil)

    @Test func speedsBetweenSizes() {
        let figures = Self.figures
        #expect(figures.speed(\.dense, dim: 100) == 10 && figures.speed(\.dense, dim: 400) == 30)
        #expect(abs(figures.speed(\.dense, dim: 200) - 20) < 1e-12, "half-way in the logarithm")
        #expect(figures.speed(\.dense, dim: 16) == 10 && figures.speed(\.dense, dim: 4096) == 30)
        #expect(abs(figures.expertSpeed(dim: 100, rows: 100) - 3) < 1e-12)
        #expect(abs(figures.expertSpeed(dim: 200, rows: 100) - 4.5) < 1e-12)
        #expect(figures.expertSpeed(dim: 100, rows: 1) == 2 && figures.expertSpeed(dim: 100, rows: 1e6) == 4)
    }

    @Test func aFileComesBack() throws {
        let folder = TemporaryFolder()
        let path = "\(folder.path)/machine.json"
        try Data(JSONText.pretty(Self.figures, keys: .convertToSnakeCase).utf8).write(to: URL(fileURLWithPath: path))
        #expect(try MachineFigures(file: path) == Self.figures)
    }

    @Test func filesThatAreNone() throws {
        let folder = TemporaryFolder()
        let path = "\(folder.path)/machine.json", whole = try JSONText.pretty(Self.figures, keys: .convertToSnakeCase)
        func problem(_ text: String) throws -> String {
            try Data(text.utf8).write(to: URL(fileURLWithPath: path))
            do { _ = try MachineFigures(file: path) } catch let error as PlanningError { return error.description }
            return ""
        }
        func changed(_ old: String, _ new: String) throws -> String {
            try #require(whole.contains(old), "\(whole)")
            return try problem(whole.replacingOccurrences(of: old, with: new))
        }
        for text in ["", "[]", "{\"format_version\": true}"] {
            #expect(try problem(text).hasPrefix("\(path): must hold a machine's figures: it is no JSON of them; make it with"))
        }
        #expect(try changed("\"optimizer_bytes\"", "\"bytes\"").contains("figures: it lacks optimizer_bytes; make it with"))
        #expect(try changed("\"dense\"", "\"dence\"").contains("figures: it lacks widths.0.dense; make it with"))
        #expect(
            try changed("\"format_version\" : 1", "\"format_version\" : 9").contains(
                "is of version 9, and this program reads 1"))
        for (old, new, name) in [
            ("\"dense\" : 10", "\"dense\" : 0", "dense must be a positive number"),
            ("\"dense\" : 10", "\"dense\" : 1e-320", "dense must be a positive number"),
            ("\"latency\" : 1", "\"latency\" : -1", "latency must be a positive number"),
            ("\"ranks\" : 2", "\"ranks\" : -1", "ranks must be a number from 1 to"),
            ("\"threads\" : 1", "\"threads\" : 9223372036854775807", "threads must be a number from 1 to"),
            ("\"ranks_per_machine\" : 2", "\"ranks_per_machine\" : 0", "ranks_per_machine must be"),
            ("\"dim\" : 400", "\"dim\" : 100", "widths, and the rows of their experts, must be listed, ascending"),
            ("\"rows\" : 1000", "\"rows\" : 1", "widths, and the rows of their experts, must be listed, ascending"),
        ] {
            let problem = try changed(old, new)
            #expect(problem.contains("figures: its \(name)"), "\(problem)")
        }
        #expect(throws: FileError.self) { try MachineFigures(file: "\(folder.path)/none") }
    }
}
