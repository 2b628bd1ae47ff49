import Checkpoints
import Collectives
import Foundation
import Testing
import _TestSupport
import _TinyRuns

/// Checkpoints that a training removes while they are read.
@Suite(.hangLimit) struct VanishingCheckpointTests {
    private let folder = TemporaryFolder()
    private var directory: String { "\(folder.path)/checkpoints" }

    private func withRun(keep: Int = 1, _ body: @Sendable (TinyRun) throws -> Void) throws {
        let path = folder.path
        _ = try SimulatedCluster.run(ranks: 1) { world in
            var plan = TinyPlan.stratified()
            (plan.cadence.keep, plan.cadence.keepBest) = (keep, 0)
            try body(try TinyRun(world, plan, in: path))
        }
    }

    /// Another process would find any moment of it.
    @Test func whoeverReadsFindsAWholeOne() throws {
        let directory = directory
        try withRun { run in
            try run.save(step: 1)
            let readers = Readers(directory)
            for step in 2...60 { try run.save(step: step) }
            let (opened, failures) = readers.finish()
            try #require(failures.isEmpty, "\(failures)")
            try #require(opened > 0)
        }
    }

    /// A thread that opens the newest and lists all, again and again.
    private final class Readers: @unchecked Sendable {
        private let lock = NSLock(), ended = DispatchSemaphore(value: 0)
        private var isAsked = false
        private var opened = 0
        private var failures: [String] = []

        init(_ directory: String) {
            Thread.detachNewThread { [self] in
                while !lock.withLock({ isAsked }) {
                    do {
                        let reader = try CheckpointStore.open(directory) { error in
                            lock.withLock { failures.append("\(error)") }
                        }
                        var value: Float = 0
                        let name = reader.tensors.names[0]
                        try reader.tensors.read(name, 0..<1, into: &value)
                        for summary in try CheckpointSummary.all(directory) {
                            if let problem = summary.problem { lock.withLock { failures.append("\(problem)") } }
                        }
                        lock.withLock { opened += 1 }
                    } catch {
                        lock.withLock { failures.append("\(error)") }
                    }
                }
                ended.signal()
            }
        }

        func finish() -> (opened: Int, failures: [String]) {
            lock.withLock { isAsked = true }
            ended.wait()
            return (opened, failures)
        }
    }

    /// What is open stays readable, for as long as it takes.
    @Test func whatIsOpenCanBeReadToItsEnd() throws {
        let directory = directory
        try withRun(keep: 9) { run in
            for step in 1...2 { try run.save(step: step) }
            let reader = try CheckpointStore.open(directory)
            for step in 1...2 { try CheckpointStore.remove(directory, step) }
            let before = run.state
            run.model.store.section(.replicated).values.fill(0)
            try reader.load(into: run.model.store)
            try #require(run.state.differences(from: before) == [])
            #expect(throws: CheckpointError.none(directory: directory, rejected: [])) { try CheckpointStore.open(directory) }
        }
    }

    @Test func aStepThatIsGoneIsAbsent() throws {
        let directory = directory
        try withRun(keep: 9) { run in
            for step in 1...2 { try run.save(step: step) }
            try CheckpointStore.remove(directory, 1)
            try CheckpointStore.remove(directory, 1)
            #expect(throws: CheckpointError.absent(directory: directory, step: 1, present: [2])) {
                try CheckpointStore.open(directory, .step(1))
            }
        }
    }
}
