import Foundation
import Testing
import _TestSupport

/// `strata sweep`, with tiny runs.
@Suite(.serialized, .hangLimit) struct SweepCommandTests {
    private let folder = CommandLineFolder()

    private var out: String { "\(folder.path)/out" }
    private var specification: String { "\(folder.path)/sweep.yaml" }

    private func write(_ runs: String, _ more: String = "") throws {
        try folder.write(
            "sweep.yaml",
            Data(
                """
                name: tiny
                out: \(out)
                base: \(TinyCommandLine.configuration)
                runs: [\(runs)]
                evaluate: {split: test, beam: 1, limit: 2}
                \(more)

                """.utf8))
    }

    /// Ranks that wait give way to those that compute.
    private static let yielding = ["OMPI_MCA_mpi_yield_when_idle": "1"]

    private func sweep(_ options: String..., environment: [String: String] = yielding) throws -> Subprocess.Outcome {
        let outcome = try Subprocess.run(
            BuiltProducts.path("strata"), ["sweep", specification] + options, environment: environment, timeout: 60)
        #expect(!outcome.timedOut, "\(outcome)")
        return outcome
    }

    private func summary() throws -> [[String: Any]] {
        let object = try JSONSerialization.jsonObject(with: folder.data("out/summary.json")) as? [String: Any]
        return try #require(object?["runs"] as? [[String: Any]])
    }

    private func mean(_ run: [String: Any], _ key: String) -> Double? { (run[key] as? [String: Any])?["mean"] as? Double }

    private func lastPerplexity(_ run: String) throws -> Double {
        let lines = try folder.data("\(run)/metrics.jsonl").split(separator: UInt8(ascii: "\n"))
        let last = try JSONSerialization.jsonObject(with: try #require(lines.last)) as? [String: Any]
        return try #require(last?["valid_perplexity"] as? Double)
    }

    @Test func runsAreTrainedScoredAndCompared() throws {
        try write(
            "{name: smoe, set: [training.updates=4]}, {name: dense, set: [training.updates=3, model.moe=none]}",
            "seeds: [1, 2]\nanalyze: true")
        let first = try sweep("--parallel", "2")
        #expect(first.status == 0, "\(first)")
        for name in ["smoe-seed-1", "smoe-seed-2", "dense-seed-1", "dense-seed-2"] {
            #expect(try folder.losses("out/\(name)").count == (name.hasPrefix("smoe") ? 4 : 3))
            #expect(folder.exists("out/\(name)/analysis/analysis.json") == name.hasPrefix("smoe"))
        }
        #expect(try folder.losses("out/smoe-seed-1") != folder.losses("out/smoe-seed-2"))
        let runs = try summary()
        #expect(runs.map { $0["name"] as? String } == ["smoe", "dense"])
        #expect(runs.map { $0["updates"] as? [Int] } == [[4, 4], [3, 3]] && runs.map { $0["done"] as? Int } == [2, 2])
        let parameters = runs.compactMap { $0["parameters"] as? Int },
            flops = runs.compactMap { $0["flops_per_token"] as? Double }
        #expect(parameters.count == 2 && parameters[0] > parameters[1] && flops.count == 2 && flops[0] > flops[1])
        for run in runs {
            let directions = try #require(run["directions"] as? [String: [String: Double]])
            #expect(directions.count == 4)
            let average = directions.values.reduce(0) { $0 + ($1["mean"] ?? .nan) } / 4
            #expect(abs((mean(run, "bleu") ?? .nan) - average) < 1e-9)
            #expect((run["chrf"] as? [String: Any])?["deviation"] is Double)
            let perplexities = try [1, 2].map { try lastPerplexity("out/\(try #require(run["name"] as? String))-seed-\($0)") }
            #expect(abs((mean(run, "valid_perplexity") ?? .nan) - (perplexities[0] + perplexities[1]) / 2) < 1e-9)
        }
        #expect((1...2).contains(try #require(mean(runs[0], "rounds_encoder"))) && mean(runs[1], "rounds_encoder") == nil)
        for file in ["summary.md", "summary.csv"] {
            let text = String(decoding: try folder.data("out/\(file)"), as: UTF8.self)
            #expect(text.contains("smoe") && text.contains("dense") && text.contains("eng-cat"))
        }
        #expect(folder.exists("out/report.html"))
        #expect(first.stdout.contains("smoe") && first.stdout.contains("RC encoder"))

        // Nothing is done again, but for the run that is new.
        let metrics = try folder.data("out/smoe-seed-1/metrics.jsonl")
        try write(
            "{name: smoe, set: [training.updates=4]}, {name: more, set: [training.updates=2]}", "seeds: [1]\nanalyze: true")
        let second = try sweep()
        #expect(second.status == 0, "\(second)")
        #expect(
            second.stderr.contains("[1/2] smoe-seed-1: done before") && second.stderr.contains("[2/2] more-seed-1: training"))
        #expect(try folder.data("out/smoe-seed-1/metrics.jsonl") == metrics)
        #expect(try summary().map { $0["name"] as? String } == ["smoe", "more"])
    }

    /// What cannot be trained on one rank, between runs that can.
    @Test func aFailedRunIsReportedAndTheOthersGoOn() throws {
        try write(
            "{name: a, set: [training.updates=1]}, {name: b, set: [parallel.expert_parallel=2]}, {name: c, set: [training.updates=2]}"
        )
        let outcome = try sweep()
        #expect(outcome.status == 64, "\(outcome)")
        #expect(outcome.stderr.contains("[2/3] b: failed with status 64; see \(out)/logs/b.log"))
        #expect(outcome.stderr.contains("parallel.expert_parallel must divide the number of ranks"))
        #expect(try summary().map { $0["done"] as? Int } == [1, 0, 1])
        #expect(try folder.losses("out/c").count == 2)
    }

    /// What was trained otherwise is not passed off as what is asked for now; more updates are trained.
    @Test func aRunOfAnotherConfigurationIsRefused() throws {
        try write("{name: a, set: [training.updates=2]}")
        #expect(try sweep().status == 0)
        let metrics = try folder.data("out/a/metrics.jsonl")
        try write("{name: a, set: [training.updates=2, training.learning_rate=0.5]}")
        let refused = try sweep()
        #expect(refused.status == 64, "\(refused)")
        #expect(refused.stderr.contains("[1/1] a: failed with status 64"))
        #expect(
            refused.stderr.contains(
                "\(out)/a was trained under another configuration (training.learning_rate: 0.002 → 0.5): remove the folder or name "
                    + "another out"))
        #expect(try folder.data("out/a/metrics.jsonl") == metrics && summary().map { $0["done"] as? Int } == [0])
        try write("{name: a, set: [training.updates=1]}")
        let fewer = try sweep()
        #expect(fewer.status == 64 && fewer.stderr.contains("(training.updates: 2 → 1)"), "\(fewer)")

        let extended =
            "{name: a, set: [training.updates=3, training.max_minutes=9, checkpoint.keep=2, parallel.threads_per_rank=2]}"
        try write(extended)
        let more = try sweep()
        #expect(more.status == 0, "\(more)")
        #expect(try folder.losses("out/a").count == 3 && summary()[0]["updates"] as? [Int] == [3])
        // What was found out about one checkpoint says nothing of another.
        try write(extended, "analyze: true\ncheckpoint: best")
        let best = try sweep()
        #expect(best.status == 0 && !best.stderr.contains("a: training") && best.stderr.contains("a: evaluating"), "\(best)")
        let record = try JSONSerialization.jsonObject(with: folder.data("out/a/sweep.json")) as? [String: Any]
        #expect(record?["analysis_arguments"] as? [String] == ["--checkpoint", "best"])
        #expect((record?["evaluation_arguments"] as? [String])?.suffix(2) == ["--checkpoint", "best"])
    }

    /// The file that says what was done cannot be written: that is one run's failure, and ends no other.
    @Test func anErrorOfOneRunLeavesTheOthersRunning() throws {
        try FileManager.default.createDirectory(atPath: "\(out)/a/sweep.json", withIntermediateDirectories: true)
        try write("{name: a, set: [training.updates=1]}, {name: b, set: [training.updates=12]}")
        let outcome = try sweep("--parallel", "2")
        #expect(outcome.status == 74, "\(outcome)")
        #expect(
            outcome.stderr.contains("[1/2] a: failed with status 74")
                && outcome.stderr.contains("\(out)/a/sweep.json: must be a file, but is a folder"))
        #expect(try summary().map { $0["done"] as? Int } == [0, 1] && folder.losses("out/b").count == 12)
    }

    @Test func aProgramThatIsNotThereIsAFailureOfTheRuns() throws {
        try write("{name: a}, {name: b}", "ranks: 2")
        let outcome = try sweep(environment: ["PATH": "/nowhere"])
        #expect(outcome.status == 70, "\(outcome)")
        #expect(outcome.stderr.contains("[2/2] b: failed with status 70") && folder.exists("out/summary.json"))
    }

    @Test func ranksUnderMpirun() throws {
        try write("{name: a, set: [training.updates=3]}", "ranks: 2\nthreads: 1")
        let outcome = try sweep()
        #expect(outcome.status == 0, "\(outcome)")
        let log = String(decoding: try folder.data("out/logs/a.log"), as: UTF8.self)
        #expect(log.contains("2 rank(s)") && log.contains("1 thread(s) each"), "\(log)")
        #expect(try summary()[0]["updates"] as? [Int] == [3])
    }

    /// Asked to stop, it ends with 75 once the run under way has a checkpoint; started again, the run is as if it had not been.
    @Test(arguments: [(1, "TERM"), (2, "USR1")]) func isStoppedAndResumed(ranks: Int, signal: String) throws {
        let runs = "{name: a, set: [training.updates=60]}, {name: b, set: [training.updates=2]}"
        try write(runs, "ranks: \(ranks)\nthreads: 1")
        let script = """
            log=$1 signal=$2; shift 2
            "$@" & pid=$!
            while kill -0 $pid && [ "$(cat "$log" 2>/dev/null | wc -l)" -lt 5 ]; do sleep 0.02; done
            kill -$signal $pid
            wait $pid; status=$?
            while kill -0 $pid 2>/dev/null; do wait $pid; status=$?; done
            exit $status
            """
        let stopped = try Subprocess.run(
            "sh", ["-c", script, "sh", "\(out)/a/metrics.jsonl", signal, BuiltProducts.path("strata"), "sweep", specification],
            environment: Self.yielding, timeout: 60)
        #expect(stopped.status == 75, "\(stopped)")
        let done = try folder.losses("out/a").count
        #expect(done >= 5 && done < 60 && !folder.exists("out/b"))
        #expect(try folder.names("out/a/checkpoints").contains { $0.hasSuffix("\(done)") })
        #expect(try summary().map { $0["done"] as? Int } == [0, 0])

        let resumed = try sweep()
        #expect(resumed.status == 0, "\(resumed)")
        #expect(String(decoding: try folder.data("out/logs/a.log"), as: UTF8.self).contains("resuming from "))
        let launch = ranks == 1 ? Launch.alone : .mpirun(ranks)
        let whole = try launch.strata([
            "train", "\(out)/configurations/a.yaml", "--out", "\(folder.path)/whole",
        ])
        #expect(whole.status == 0, "\(whole)")
        #expect(try folder.losses("out/a") == folder.losses("whole") && folder.losses("out/b").count == 2)
    }

    @Test func whatCannotBeSwept() throws {
        try write("{name: a, set: [training.update=3]}")
        expectError(try sweep(), 64, "did you mean training.updates?")
        #expect(!folder.exists("out"), "nothing is begun")
        expectError(try sweep("--parallel", "0"), 64, "--parallel must be 1 to 1024, but is 0")
        expectError(
            try Launch.mpirun(1).strata(["sweep", specification]), 64, "strata sweep starts mpirun itself: leave it out")
    }
}
