import Checkpoints
import Collectives
import Foundation
import Testing
import _TestSupport
import Training
import _TinyRuns

/// Whole runs: where they save, how they end, and that a resumed one is the undisturbed one.
@Suite(.hangLimit) struct TrainingCoordinatorTests {
    private static func plan(updates: Int = 10) -> TinyPlan {
        var plan = TinyPlan.stratified(updates: updates)
        plan.cadence.every = 4
        plan.cadence.keepBest = 0
        plan.training.validateEvery = 3
        return plan
    }

    /// Runs, or goes on with, the run in a folder.
    private static func run(
        _ plan: TinyPlan, in folder: TemporaryFolder, ranks: Int, interruption: Int? = nil
    ) throws -> (ends: [TrainingEnd], state: ModelState) {
        let outcomes = try SimulatedCluster.run(ranks: ranks) { world in
            let run = try TinyRun(world, plan, in: folder.path)
            // One rank hears of it.
            let end = try run.run(interruption: world.rank == ranks - 1 ? interruption : nil)
            return (end, run.state)
        }
        return (outcomes.map(\.0), try ModelState(joining: outcomes.map(\.1)))
    }

    /// The log's lines without what depends on the clock.
    private static func lines(_ folder: TemporaryFolder) throws -> [NSDictionary] {
        try folder.data("metrics.jsonl").split(separator: UInt8(ascii: "\n")).map { line in
            var object = try JSONSerialization.jsonObject(with: line) as! [String: Any]
            for key in ["tokens_per_second", "flops_utilization", "seconds_left"] { object[key] = nil }
            return object as NSDictionary
        }
    }

    private static func losses(_ folder: TemporaryFolder) throws -> [Double] {
        try lines(folder).compactMap { $0["loss"] as? Double }
    }

    /// Asynchronously, a checkpoint is reported whenever it is durable, but in order and before the end.
    @Test(arguments: [true, false]) func validatesSavesAndFinishes(asynchronous: Bool) throws {
        let folder = TemporaryFolder()
        let events = try SimulatedCluster.run(ranks: 2) { world in
            var events: [String] = [], plan = Self.plan()
            plan.cadence.asynchronous = asynchronous
            let end = try TinyRun(world, plan, in: folder.path).run { event in
                switch event {
                case let .update(metrics): events.append("\(metrics.update)")
                case let .validation(metrics): events.append("valid \(metrics.update)")
                case let .checkpoint(path, _): events.append(URL(fileURLWithPath: path).lastPathComponent)
                case .experts, .checkpointFailed, .metricsFailed: events.append("\(event)")
                }
            }
            try #require(end == .finished)
            return events
        }
        #expect(events[0] == events[1])
        let expected = [
            "1", "2", "3", "valid 3", "4", "step-00000004", "5", "6", "valid 6", "7", "8", "step-00000008", "9", "valid 9",
            "10", "valid 10", "step-00000010",
        ]
        if asynchronous {
            for steps in [true, false] {
                #expect(events[0].filter { $0.hasPrefix("step") == steps } == expected.filter { $0.hasPrefix("step") == steps })
            }
        } else {
            #expect(events[0] == expected)
        }
        #expect(try folder.names("checkpoints") == ["latest", "step-00000004", "step-00000008", "step-00000010"])
        #expect(try Self.lines(folder).count == 14)
    }

    /// Invariant 3, whatever the update it was stopped at.
    @Test(arguments: [1, 2, 4], [1, 3, 4, 7, 9]) func aStoppedAndResumedRunIsTheUndisturbedOne(ranks: Int, stop: Int) throws {
        let undisturbed = TemporaryFolder(), stopped = TemporaryFolder(), plan = Self.plan()
        let expected = try Self.run(plan, in: undisturbed, ranks: ranks)
        let half = try Self.run(plan, in: stopped, ranks: ranks, interruption: stop)
        #expect(half.ends == Array(repeating: .interrupted, count: ranks))
        #expect(try CheckpointStore.steps("\(stopped.path)/checkpoints").last == stop)
        let whole = try Self.run(plan, in: stopped, ranks: ranks)
        #expect(whole.ends == Array(repeating: .finished, count: ranks))
        #expect(whole.state.differences(from: expected.state) == [])
        #expect(try Self.lines(stopped) == Self.lines(undisturbed))
    }

    /// Killed after update 7: its checkpoint is of update 4, a save was under way, and the log's last line is torn.
    @Test(arguments: [1, 2]) func aKilledAndResumedRunIsTheUndisturbedOne(ranks: Int) throws {
        let undisturbed = TemporaryFolder(), killed = TemporaryFolder(), plan = Self.plan()
        let expected = try Self.run(plan, in: undisturbed, ranks: ranks)
        _ = try Self.run(plan, in: killed, ranks: ranks, interruption: 7)
        try FileManager.default.moveItem(
            atPath: "\(killed.path)/checkpoints/step-00000007", toPath: "\(killed.path)/checkpoints/step-00000008.partial")
        try FileManager.default.removeItem(atPath: "\(killed.path)/checkpoints/step-00000008.partial/manifest.json")
        try killed.write("metrics.jsonl", killed.data("metrics.jsonl") + Data("{\"update\":8,\"lo".utf8))
        let whole = try Self.run(plan, in: killed, ranks: ranks)
        #expect(whole.state.differences(from: expected.state) == [])
        #expect(try Self.lines(killed) == Self.lines(undisturbed))
        #expect(try killed.names("checkpoints") == undisturbed.names("checkpoints"))
    }

    /// Invariant 4, with moments whole, in shares, and first the one and then the other.
    @Test(arguments: [[false], [true], [false, true]]) func aRunGoesOnOnAnyNumberOfRanks(sharded: [Bool]) throws {
        let undisturbed = TemporaryFolder(), resharded = TemporaryFolder(), plan = Self.plan(updates: 20)
        _ = try Self.run(plan, in: undisturbed, ranks: 1)
        for (life, (ranks, stop)) in [(1, 3), (2, 7), (4, 10), (3, 14), (8, 17)].enumerated() {
            var plan = plan
            plan.shardOptimizer = sharded[life % sharded.count]
            _ = try Self.run(plan, in: resharded, ranks: ranks, interruption: stop)
        }
        _ = try Self.run(plan, in: resharded, ranks: 2)
        let expected = try Self.losses(undisturbed), actual = try Self.losses(resharded)
        #expect(expected.count == 20 && actual.count == 20)
        for (one, other) in zip(expected, actual) { #expect(abs(one - other) <= 1e-4 * one) }
    }

    @Test func theTimeLimitEndsWithACheckpoint() throws {
        let folder = TemporaryFolder()
        var limited = Self.plan()
        limited.training.maxMinutes = 1e-12
        let plan = limited
        #expect(try Self.run(plan, in: folder, ranks: 2).ends == [.timeLimit, .timeLimit])
        #expect(try CheckpointStore.steps("\(folder.path)/checkpoints") == [1])
        #expect(try Self.lines(folder).last?["valid_loss"] != nil, "what it has come to is measured")
        #expect(try Self.run(plan, in: folder, ranks: 2).ends == [.timeLimit, .timeLimit])
        #expect(try CheckpointStore.steps("\(folder.path)/checkpoints") == [1, 2], "each start does an update at least")
    }

    /// Clocks differ: one rank finds the time up when another does not.
    @Test(arguments: [0, 1]) func ranksThatDisagreeOnTheTimeEndAlike(overdue: Int) throws {
        let folder = TemporaryFolder()
        let ends = try SimulatedCluster.run(ranks: 2) { world in
            var plan = Self.plan()
            plan.training.maxMinutes = world.rank == overdue ? 1e-12 : 0
            return try TinyRun(world, plan, in: folder.path).run()
        }
        #expect(ends == [.timeLimit, .timeLimit])
        #expect(try CheckpointStore.steps("\(folder.path)/checkpoints") == [1])
    }

    @Test func aFinishedRunResumedIsLeftAsItIs() throws {
        let folder = TemporaryFolder(), plan = Self.plan()
        let first = try Self.run(plan, in: folder, ranks: 2)
        let log = try folder.data("metrics.jsonl")
        let again = try Self.run(plan, in: folder, ranks: 2)
        #expect(again.ends == [.finished, .finished])
        #expect(again.state == first.state)
        #expect(try folder.data("metrics.jsonl") == log)
    }

    @Test func anInterruptionAtTheLastUpdateFinishes() throws {
        let folder = TemporaryFolder()
        #expect(try Self.run(Self.plan(), in: folder, ranks: 2, interruption: 10).ends == [.finished, .finished])
        #expect(try CheckpointStore.steps("\(folder.path)/checkpoints").last == 10)
    }

    @Test func withoutUpdatesTheInitialModelIsSaved() throws {
        let folder = TemporaryFolder()
        #expect(try Self.run(Self.plan(updates: 0), in: folder, ranks: 1).ends == [.finished])
        #expect(try CheckpointStore.steps("\(folder.path)/checkpoints") == [0])
        #expect(try Self.lines(folder).count == 1)
    }

    /// What the ranks report while the folder of checkpoints is a file, from when the first is committed to update `repaired`.
    private static func failures(_ folder: TemporaryFolder, repaired: Int?, asynchronous: Bool) throws -> [String] {
        let reports = try SimulatedCluster.run(ranks: 2) { world in
            var plan = Self.plan(), reports: [String] = []
            plan.cadence.asynchronous = asynchronous
            let run = try TinyRun(world, plan, in: folder.path), directory = run.checkpoints.directory
            do {
                _ = try run.run { event in
                    switch event {
                    case let .checkpoint(path, _):
                        reports.append(URL(fileURLWithPath: path).lastPathComponent)
                        if world.rank == 0, reports.count == 1 {
                            try! FileManager.default.moveItem(atPath: directory, toPath: directory + ".away")
                            try! Data().write(to: URL(fileURLWithPath: directory))
                        }
                    case let .checkpointFailed(error, count): reports.append("\(count): \(error)")
                    case let .update(metrics) where world.rank == 0 && metrics.update == repaired:
                        try! FileManager.default.removeItem(atPath: directory)
                        try! FileManager.default.moveItem(atPath: directory + ".away", toPath: directory)
                    default: break
                    }
                }
            } catch let error as CheckpointError {
                reports.append("\(error)")
            }
            return reports
        }
        #expect(reports[0] == reports[1])
        return reports[0]
    }

    /// The run is the undisturbed one, and so is its last checkpoint.
    @Test(arguments: [true, false]) func aSaveThatFailsIsReportedAndTrainingGoesOn(asynchronous: Bool) throws {
        let folder = TemporaryFolder(), undisturbed = TemporaryFolder()
        let reports = try Self.failures(folder, repaired: 9, asynchronous: asynchronous)
        try #require(reports.count == 3)
        #expect(reports[0] == "step-00000004" && reports[2] == "step-00000010")
        #expect(reports[1].hasPrefix("1: the checkpoint of update 8 was not written; the ones before it are untouched:"))
        #expect(reports[1].contains("rank 0: \(folder.path)/checkpoints: must be a folder"))
        #expect(try CheckpointStore.steps("\(folder.path)/checkpoints") == [4, 10])
        _ = try Self.run(Self.plan(), in: undisturbed, ranks: 2)
        #expect(try Self.lines(folder) == Self.lines(undisturbed))
        for name in ["manifest.json", "shard-00000.safetensors", "shard-00001.safetensors"] {
            let path = "checkpoints/step-00000010/\(name)"
            #expect(try folder.data(path) == undisturbed.data(path))
        }
    }

    @Test(arguments: [true, false]) func aLastSaveThatFailsEndsEveryRankWithTheReason(asynchronous: Bool) throws {
        let folder = TemporaryFolder()
        let reports = try Self.failures(folder, repaired: nil, asynchronous: asynchronous)
        try #require(reports.count == 3)
        #expect(reports[1].contains("update 8 was not written"))
        #expect(reports[2].hasPrefix("the checkpoint of update 10 was not written"))
        #expect(reports[2].contains("rank 0: \(folder.path)/checkpoints: must be a folder"))
        #expect(try CheckpointStore.steps("\(folder.path)/checkpoints.away") == [4])
    }
}
