import ConfigurationForms
import Files
import Foundation
import Runs
import Testing
import _TestSupport

@testable import Sweeps

@Suite struct SweepSpecificationTests {
    private let folder: TemporaryFolder

    init() { folder = TemporaryFolder() }

    private func load(_ text: String) throws -> SweepSpecification {
        try folder.write("sweeps/sweep.yaml", text)
        return try SweepSpecification.load(file: "\(folder.path)/sweeps/sweep.yaml")
    }

    private func problems(_ text: String) throws -> [String] {
        do {
            _ = try load(text)
            return []
        } catch let error as ConfigurationError {
            return error.problems.map { $0.description.replacing("\(folder.path)/sweeps/", with: "") }
        }
    }

    @Test func isReadWithItsDefaults() throws {
        let minimal = try load("{name: a, out: b, base: c.yaml, runs: [{name: one}]}")
        #expect(minimal.ranks == 1 && minimal.threads == nil && minimal.seeds.isEmpty && !minimal.analyze)
        #expect(minimal.evaluationArguments == ["--split", "test", "--beam", "5", "--checkpoint", "latest"])
        #expect(minimal.analysisArguments == nil)
        let full = try load(
            """
            name: a
            out: b
            runs:
              - {name: one, config: one.yaml, set: [training.updates=5, "model.moe.strata=[4, 4]"]}
            seeds: [1, 2]
            ranks: 2
            threads: 3
            evaluate: {split: valid, beam: 1, limit: 7}
            analyze: true
            checkpoint: best
            """)
        #expect(full.runs == [.init(name: "one", config: "one.yaml", set: ["training.updates=5", "model.moe.strata=[4, 4]"])])
        #expect(full.seeds == [1, 2] && full.ranks == 2 && full.threads == 3 && full.analyze)
        #expect(full.evaluationArguments == ["--split", "valid", "--beam", "1", "--limit", "7", "--checkpoint", "best"])
        #expect(full.analysisArguments == ["--checkpoint", "best"])
        #expect(try load("{name: a, out: b, base: c.yaml, runs: [{name: one}], evaluate: none}").evaluate == nil)
    }

    @Test(arguments: [
        ("{out: b, base: c, runs: [{name: one}]}", "name is required"),
        ("{name: a, out: b, base: c}", "runs is required"),
        ("{name: a, out: b, runs: [{name: one}]}", "runs[0].config is required where base is not given"),
        ("{name: a, out: b, base: c, runs: [{name: one}, {name: one}]}", "runs[1].name must be different for each run"),
        ("{name: a, out: b, base: c, runs: [{name: logs}]}", "runs[0].name must not be logs"),
        ("{name: a, out: b, base: c, runs: [{name: summary.md}]}", "runs[0].name must not be summary.md"),
        ("{name: a, out: b, base: c, runs: [{name: report.html}]}", "runs[0].name must not be report.html"),
        ("{name: a, out: b, base: c, runs: [{name: one}], checkpoint: 5}", "checkpoint must be latest or best"),
        ("{name: a, out: b, base: c, runs: [{name: ../one}]}", "runs[0].name must be a name of letters"),
        ("{name: a, out: b, base: c, runs: [{name: one, sett: []}]}", "did you mean runs[0].set?"),
        ("{name: a, out: b, base: c, runs: [{name: one}], seeds: [1, 1]}", "seeds must hold each seed once"),
        ("{name: a, out: b, base: c, runs: [{name: one, seeds: [2, 2]}]}", "runs[0].seeds must hold each seed once"),
        (
            "{name: a, out: b, base: c, runs: [{name: one-seed-1}, {name: one, seeds: [1]}]}",
            "runs must have folders of their own"
        ),
        ("{name: a, out: b, base: c, runs: [{name: one}], evaluate: {split: train}}", "evaluate.split must be test or valid"),
    ])
    func whatCannotBeUsed(text: String, problem: String) throws {
        let found = try problems(text)
        #expect(found.count == 1 && found[0].contains(problem) && found[0].hasPrefix("sweep.yaml:1: "), "\(found)")
    }

    /// Those that come with the project.
    @Test(
        arguments: [
            ("quickstart", [nil, [8], [4, 4], nil, [8], [4, 4]]),
            ("multi30k-methods", [[4, 4], [8, 8], [4, 4], [9, 9], [4, 4]]),
            ("m4mini", [nil, [8], [8], [8], [8], [4, 4], [4, 4], [2, 2, 2, 2], nil, [8], [4, 4]]),
        ] as [(String, [[Int]?])])
    func theExamplesLoad(name: String, strata: [[Int]?]) throws {
        let file = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
            .deletingLastPathComponent().appendingPathComponent("configs/sweeps/\(name).yaml").path
        let jobs = try SweepJob.jobs(SweepSpecification.load(file: file), file: file, threads: nil)
        #expect(jobs.map(\.configuration.model.mixture?.strata) == strata)
    }

    @Test func jobsAreEveryRunWithEverySeed() throws {
        try folder.write("sweeps/base.yaml", "data: {format: numerals, prepared: p}\n")
        try folder.write("other.yaml", "data: {format: numerals, prepared: q}\ntraining: {seed: 9}\n")
        let specification = try load(
            """
            {name: a, out: o, base: base.yaml, seeds: [1, 2],
             runs: [{name: x, set: [training.updates=5]}, {name: y, config: ../other.yaml}]}
            """)
        let file = "\(folder.path)/sweeps/sweep.yaml"
        let jobs = try SweepJob.jobs(specification, file: file, threads: 3)
        #expect(jobs.map(\.name) == ["x-seed-1", "y-seed-1", "x-seed-2", "y-seed-2"])
        #expect(jobs.map(\.configuration.training.seed) == [1, 1, 2, 2])
        #expect(jobs.map(\.configuration.data.prepared) == ["p", "q", "p", "q"])
        #expect(jobs[0].configuration.training.updates == 5 && jobs[0].configuration.parallel.threadsPerRank == 3)
        #expect(jobs[0].folder.path == "o/x-seed-1")
        var single = specification
        single.runs[1].seeds = [3, 4, 5]
        #expect(
            try SweepJob.jobs(single, file: file, threads: nil).map(\.name) == [
                "x-seed-1", "y-seed-3", "x-seed-2", "y-seed-4", "y-seed-5",
            ])
        single.runs[1].seeds = []
        single.seeds = []
        let unseeded = try SweepJob.jobs(single, file: file, threads: nil)
        #expect(unseeded.map(\.name) == ["x", "y"] && unseeded.map(\.configuration.training.seed) == [42, 9])
        single.runs[0].set = ["training.update=5"]
        single.runs[1].config = "absent.yaml"
        #expect {
            _ = try SweepJob.jobs(single, file: file, threads: nil)
        } throws: { error in
            let text = "\(error)"
            return text.contains("did you mean training.updates?") && text.contains("absent.yaml: must be a readable file")
        }
    }

    /// One would prepare over what the other has prepared.
    @Test func runsThatShareAFolderPrepareTheSameData() throws {
        try folder.write("sweeps/base.yaml", "data: {format: numerals, prepared: p, vocabulary: 100}\n")
        func text(_ overrides: String...) throws -> String {
            let specification = SweepSpecification(
                name: "a", out: "o", base: "base.yaml",
                runs: [.init(name: "one"), .init(name: "two"), .init(name: "three", set: overrides)], seeds: [1, 2])
            do {
                _ = try SweepJob.jobs(specification, file: "\(folder.path)/sweeps/sweep.yaml", threads: nil)
                return ""
            } catch { return "\(error)" }
        }
        let problem = "\(folder.path)/sweeps/sweep.yaml: runs one and three prepare different data in"
        #expect(try text("data.vocabulary=120") == "\(problem) p: give each a data.prepared of its own")
        #expect(try text("data.numerals.pairs=7", "data.prepared=./q/../p").hasPrefix("\(problem) ./q/../p: "))
        #expect(try text("data.vocabulary=120", "data.prepared=q") == "")
        #expect(try text("data.temperature=2", "training.updates=3") == "")
    }

    @Test func spreadOverSeeds() {
        #expect(SweepSummary.Spread([]) == nil)
        #expect(SweepSummary.Spread([3])?.deviation == nil && SweepSummary.Spread([3])?.text(1) == "3.0")
        let spread = SweepSummary.Spread([1, 2, 6])
        #expect(spread?.mean == 3 && spread?.deviation == 7.0.squareRoot() && spread?.text(2) == "3.00 ± 2.65")
    }

    /// A record counts for the configuration that it was made with; how the work was spread is no part of it.
    @Test func recordsAreOfAConfiguration() throws {
        try folder.write("base.yaml", "data: {format: numerals, prepared: p}\n")
        func job(_ overrides: String...) throws -> SweepJob {
            SweepJob(
                run: "x", name: "x",
                configuration: try RunConfiguration.load(file: "\(folder.path)/base.yaml", overrides: overrides),
                out: folder.path)
        }
        try folder.write("x/.keep", "")
        var record = SweepRecord(of: try job())
        #expect(!record.isTrained)
        record.isTrained = true
        try record.write(to: job().recordFile)
        #expect(SweepRecord(of: try job()) == record)
        #expect(SweepRecord(of: try job("parallel.threads_per_rank=2")).isTrained)
        #expect(!SweepRecord(of: try job("training.updates=7")).isTrained)
        try folder.write("x/sweep.json", "{")
        #expect(!SweepRecord(of: try job()).isTrained)
        #expect(throws: FileError.self) { try record.write(to: "\(folder.path)/none/sweep.json") }
    }
}
