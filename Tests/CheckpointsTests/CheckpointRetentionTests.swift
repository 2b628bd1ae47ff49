import Collectives
import Foundation
import Testing
import _TestSupport
import _TinyRuns

@testable import Checkpoints

@Suite(.hangLimit) struct CheckpointRetentionTests {
    @Test func theNewestAndTheBestStay() {
        let losses: [Int: Double?] = [10: 3, 20: 1, 30: nil, 40: 2, 50: nil, 60: 1]
        #expect(CheckpointRetention(newest: 2, best: 0).expendable(losses) == [10, 20, 30, 40])
        #expect(CheckpointRetention(newest: 2, best: 1).expendable(losses) == [10, 20, 30, 40], "of equal ones the later")
        #expect(CheckpointRetention(newest: 1, best: 2).expendable(losses) == [10, 30, 40, 50])
        #expect(CheckpointRetention(newest: 1, best: 3).expendable(losses) == [10, 30, 50])
        #expect(CheckpointRetention(newest: 9, best: 0).expendable(losses) == [])
        #expect(CheckpointRetention.bestFirst(losses) == [60, 20, 40, 10])
    }

    /// Saves as a run would, resumed in between: the manifests are all that is known of the losses.
    @Test(arguments: [1, 2]) func theBestIsFoundAgainAfterAResume(ranks: Int) throws {
        let folder = TemporaryFolder()
        func save(_ losses: [(Int, Double?)]) throws {
            _ = try SimulatedCluster.run(ranks: ranks) { world in
                var plan = TinyPlan.stratified()
                (plan.cadence.keep, plan.cadence.keepBest) = (1, 1)
                let run = try TinyRun(world, plan, in: folder.path)
                for (step, loss) in losses { try run.save(step: step, validationLoss: loss) }
            }
        }
        let directory = "\(folder.path)/checkpoints"
        try save([(1, 3), (2, 1), (3, 2)])
        #expect(try CheckpointStore.steps(directory) == [2, 3])
        try save([(4, nil), (5, .nan), (6, 1.5)])
        #expect(try CheckpointStore.steps(directory) == [2, 6])
        #expect(try CheckpointManifest(folder: "\(directory)/step-00000002").validationLoss == 1)
        try save([(7, 0.5), (8, .infinity)])
        #expect(try CheckpointStore.steps(directory) == [7, 8])
        #expect(try CheckpointManifest(folder: "\(directory)/step-00000008").validationLoss == nil)
    }

    /// Neither do they take a sound one's place, nor are they removed.
    @Test func damagedCheckpointsDoNotCount() throws {
        let folder = TemporaryFolder(), directory = "\(folder.path)/checkpoints"
        _ = try SimulatedCluster.run(ranks: 1) { world in
            var plan = TinyPlan.stratified()
            (plan.cadence.keep, plan.cadence.keepBest) = (3, 1)
            let run = try TinyRun(world, plan, in: folder.path)
            for (step, loss) in [(1, 2.0), (2, 1.0), (3, 3.0)] { try run.save(step: step, validationLoss: loss) }
            try folder.write("checkpoints/step-00000002/shard-00000.safetensors", Data())
            try folder.write("checkpoints/step-00000003/manifest.json", Data())
            for step in 4...6 { try run.save(step: step, validationLoss: 4) }
            try #require(try CheckpointStore.steps(directory) == [1, 2, 3, 4, 5, 6], "of those that are sound 1 is the best")
            try run.save(step: 7, validationLoss: 1.5)
        }
        #expect(try CheckpointStore.steps(directory) == [2, 3, 5, 6, 7])
    }

    @Test func aCheckpointIsChosen() throws {
        let folder = TemporaryFolder(), directory = "\(folder.path)/checkpoints"
        @Sendable func choose(_ choice: CheckpointChoice) throws -> Int {
            try CheckpointStore.open(directory, choice).manifest.step
        }
        _ = try SimulatedCluster.run(ranks: 1) { world in
            var plan = TinyPlan.stratified()
            plan.cadence.keep = 9
            let run = try TinyRun(world, plan, in: folder.path)
            try run.save(step: 1)
            #expect(throws: CheckpointError.noneValidated(directory: directory)) { try choose(.best) }
            for (step, loss) in [(2, 1), (3, 0.5), (4, 0.7)] { try run.save(step: step, validationLoss: loss) }
        }
        #expect(try choose(.latest) == 4)
        #expect(try choose(.best) == 3)
        #expect(try choose(.step(2)) == 2)
        #expect(throws: CheckpointError.absent(directory: directory, step: 5, present: [1, 2, 3, 4])) { try choose(.step(5)) }
        // Damage: the next best, but never another in place of a step.
        try folder.write("checkpoints/step-00000003/shard-00000.safetensors", Data())
        #expect(try choose(.best) == 4)
        #expect(throws: CheckpointError.self) { try choose(.step(3)) }
    }

    /// A folder under another name is not the checkpoint of that update.
    @Test func aRenamedFolderIsRefused() throws {
        let folder = TemporaryFolder(), directory = "\(folder.path)/checkpoints"
        _ = try SimulatedCluster.run(ranks: 1) { world in try TinyRun(world, .stratified(), in: folder.path).save(step: 1) }
        try FileManager.default.copyItem(atPath: "\(directory)/step-00000001", toPath: "\(directory)/step-00000002")
        try FileManager.default.copyItem(atPath: "\(directory)/step-00000001", toPath: "\(directory)/step-+0000009")
        #expect(try CheckpointStore.steps(directory) == [1, 2])
        #expect(try CheckpointStore.open(directory).manifest.step == 1)
        #expect(CheckpointReader.problems(directory, 2).count == 1)
    }
}
