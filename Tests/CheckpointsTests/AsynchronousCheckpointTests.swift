import Collectives
import Files
import Foundation
import Synchronization
import Testing
import _TestSupport
import _TinyRuns
import Training

@testable import Checkpoints

/// Training goes on while a checkpoint is written: what is saved, what is reported and when, and what a failure does.
@Suite(.hangLimit) struct AsynchronousCheckpointTests {
    /// A disk that writes nothing until it is let go.
    private final class Gate: Sendable {
        private let condition = NSCondition()
        nonisolated(unsafe) private var isOpen = false

        func open() {
            condition.lock()
            isOpen = true
            condition.broadcast()
            condition.unlock()
        }

        func pass() {
            condition.lock()
            while !isOpen { condition.wait() }
            condition.unlock()
        }
    }

    /// What the threads that write have seen.
    private final class Seen<Value: Hashable & Sendable>: Sendable {
        let values = Mutex<Set<Value>>([])
    }

    private static func begin(_ run: TinyRun, copying: Bool = true) throws {
        try run.checkpoints.begin(
            step: run.trainer.update, seed: 7, validationLoss: nil, state: run.rankState, copying: copying)
    }

    /// The update in which each of two ranks' save is committed, with one rank's disk held up until after the third update.
    @Test(arguments: [0, 1]) func theStateOfTheSavesBeginningIsSaved(slow: Int) throws {
        let folder = TemporaryFolder(), gate = Gate()
        let states = try SimulatedCluster.run(ranks: 2) { world in
            let run = try TinyRun(world, .stratified(), in: folder.path)
            if world.rank == slow {
                run.checkpoints.writeShard = { content, path in
                    gate.pass()
                    return try content.write(to: path)
                }
            }
            _ = try run.trainer.step()
            let state = run.state
            try Self.begin(run)
            for _ in 0..<3 {
                _ = try run.trainer.step()
                try #require(try run.checkpoints.poll() == nil && run.checkpoints.isSaving)
                try #require(try CheckpointStore.steps(run.checkpoints.directory).isEmpty, "not before all ranks have written")
                try world.barrier()
            }
            try #require(run.state != state)
            gate.open()
            let committed = try #require(try run.checkpoints.complete()).get()
            try #require(committed.path == "\(run.checkpoints.directory)/step-00000001" && !run.checkpoints.isSaving)
            try #require(try run.checkpoints.complete() == nil && run.checkpoints.poll() == nil)
            return state
        }
        let loaded = try SimulatedCluster.run(ranks: 1) { world in
            let run = try TinyRun(world, .stratified(), in: folder.path)
            try #require(run.trainer.update == 1)
            return run.state
        }
        #expect(try loaded[0].differences(from: ModelState(joining: states)) == [])
    }

    /// Without anybody waiting for it, the end is found by polling, at the same update on every rank.
    @Test(arguments: [1, 2, 4]) func pollingFindsTheEnd(ranks: Int) throws {
        let folder = TemporaryFolder()
        let polls = try SimulatedCluster.run(ranks: ranks) { world in
            let run = try TinyRun(world, .stratified(), in: folder.path)
            _ = try run.trainer.step()
            try Self.begin(run)
            var polls = 0
            while true {
                polls += 1
                guard let outcome = try run.checkpoints.poll() else { continue }
                try #require(outcome.get().path.hasSuffix("step-00000001"))
                // It is durable: manifest and latest are there.
                try #require(try CheckpointStore.open(run.checkpoints.directory).manifest.step == 1)
                try #require(try folder.data("checkpoints/latest") == Data("step-00000001\n".utf8))
                return polls
            }
        }
        #expect(Set(polls).count == 1)
    }

    /// Snapshot after snapshot goes into the same memory.
    @Test func theMemoryOfSnapshotsIsUsedAgain() throws {
        let folder = TemporaryFolder()
        let addresses = try SimulatedCluster.run(ranks: 2) { world in
            let run = try TinyRun(world, .stratified(), in: folder.path), addresses = Seen<UInt>()
            run.checkpoints.writeShard = { content, path in
                addresses.values.withLock { _ = $0.insert(UInt(bitPattern: content.parts[0].buffer.baseAddress)) }
                return try content.write(to: path)
            }
            let parameters = UInt(bitPattern: run.model.store.section(.replicated).values.pointer)
            for _ in 0..<3 {
                _ = try run.trainer.step()
                try Self.begin(run)
                _ = try run.checkpoints.complete()
            }
            return addresses.values.withLock { $0.subtracting([parameters]) }
        }
        #expect(addresses.map(\.count) == [1, 1])
        #expect(try CheckpointStore.steps("\(folder.path)/checkpoints") == [1, 2, 3])
    }

    /// A save that never ends would never let training end either.
    @Test func aThreadThatIsRefusedFailsAtOnce() {
        // More than there are addresses.
        let task = BackgroundTask(writing: "/a/shard", stackSize: 1 << 50) { true }
        #expect(task.isFinished)
        let error = #expect(throws: FileError.self) { _ = try task.wait().get() }
        #expect(error?.path == "/a/shard" && error?.reason.hasPrefix("starting a thread to write it failed: ") == true)
    }

    /// A disk that is full on one rank: nothing is left of the save, the one before it stays, and the next succeeds.
    @Test(arguments: [0, 1]) func aRankThatCannotWriteFailsTheSaveOnAll(failing: Int) throws {
        let folder = TemporaryFolder()
        let outcomes = try SimulatedCluster.run(ranks: 2) { world in
            let run = try TinyRun(world, .stratified(), in: folder.path)
            _ = try run.trainer.step()
            try run.save()
            if world.rank == failing {
                run.checkpoints.writeShard = { content, path in
                    try Data([1, 2, 3]).write(to: URL(fileURLWithPath: path))
                    throw FileError(path: path, reason: "writing failed: No space left on device")
                }
            }
            _ = try run.trainer.step()
            try Self.begin(run)
            _ = try run.trainer.step()
            var outcome: CheckpointStore.Outcome?
            while outcome == nil { outcome = try run.checkpoints.poll() }
            try world.barrier()
            try #require(try folder.names("checkpoints") == ["latest", "step-00000001"])
            try world.barrier()
            run.checkpoints.writeShard = { try $0.write(to: $1) }
            try run.save()
            return outcome!
        }
        #expect(outcomes[0] == outcomes[1])
        let path = "\(folder.path)/checkpoints/step-00000002.partial/shard-0000\(failing).safetensors"
        #expect(
            outcomes[0]
                == .failure(
                    .notWritten(
                        step: 2, reasons: ["rank \(failing): \(path): writing failed: No space left on device"])))
        #expect(try CheckpointStore.steps("\(folder.path)/checkpoints") == [1, 3])
    }

    /// A save under way when the next is due, or the end comes, is waited for and reported first.
    @Test func theNextSaveWaitsForTheOneBefore() throws {
        let folder = TemporaryFolder()
        let events = try SimulatedCluster.run(ranks: 2) { world in
            var plan = TinyPlan.stratified(updates: 7), events: [String] = []
            plan.cadence.every = 2
            let gate = Gate(), run = try TinyRun(world, plan, in: folder.path)
            run.checkpoints.writeShard = { content, path in
                if path.contains("step-00000002") { gate.pass() }
                return try content.write(to: path)
            }
            _ = try run.run { event in
                switch event {
                case let .update(metrics):
                    events.append("\(metrics.update)")
                    if metrics.update == 4 { gate.open() }
                case let .checkpoint(path, _): events.append(URL(fileURLWithPath: path).lastPathComponent)
                default: break
                }
            }
            return events
        }
        let first = try #require(events[0].firstIndex(of: "step-00000002"))
        #expect(first > events[0].firstIndex(of: "4")! && first <= events[0].firstIndex(of: "5")!)
        #expect(
            events[0].filter { $0.hasPrefix("step") } == ["step-00000002", "step-00000004", "step-00000006", "step-00000007"])
        #expect(events[0] == events[1])
    }

    /// What diverges ends, but what was saved before it is not lost: updates 2 to 12 are skipped, which are no reason to save, and
    /// the last is one too many.
    @Test func aSaveUnderWayIsFinishedWhenTrainingDiverges() throws {
        let folder = TemporaryFolder()
        let outcomes = try SimulatedCluster.run(ranks: 2) { world in
            var plan = TinyPlan.stratified(updates: 100), committed: [String] = []
            plan.cadence.every = 1
            plan.training.learningRate = 1e30
            plan.training.warmup = 0
            let gate = Gate(), run = try TinyRun(world, plan, in: folder.path)
            run.checkpoints.writeShard = { content, path in
                if path.contains("step-00000001") { gate.pass() }
                return try content.write(to: path)
            }
            let error = try #require(throws: TrainingError.self) {
                _ = try run.run { event in
                    if case let .checkpoint(path, _) = event { committed.append(path) }
                } beforeUpdate: { update in
                    // The one that throws: nobody looks at the save again but who has caught that.
                    if update == 12 { gate.open() }
                }
            }
            return ("\(error)", committed)
        }
        #expect(outcomes[0].0.contains("diverged"))
        #expect(outcomes.allSatisfy { $0.1.last == "\(folder.path)/checkpoints/step-00000001" })
        #expect(try CheckpointStore.steps("\(folder.path)/checkpoints") == [1])
        #expect(try !folder.names("checkpoints").contains { $0.hasSuffix(".partial") })
    }
}
