import Checkpoints
import Collectives
import Foundation
import Testing
import _TestSupport
import Training
import _TinyRuns

/// Training that ends when validation improves no more.
@Suite(.hangLimit) struct PatienceTests {
    /// Of such a rate that nothing is learned: every validation finds the loss of the first.
    private static var plan: TinyPlan {
        var plan = TinyPlan.stratified(updates: 60)
        (plan.training.learningRate, plan.training.warmup, plan.training.validateEvery) = (1e-30, 0, 2)
        plan.training.patience = 3
        plan.cadence.every = 2
        return plan
    }

    private static func run(_ plan: TinyPlan, in folder: TemporaryFolder, ranks: Int, interruption: Int? = nil) throws
        -> [TrainingEnd]
    {
        try SimulatedCluster.run(ranks: ranks) { world in
            try TinyRun(world, plan, in: folder.path).run(interruption: interruption)
        }
    }

    @Test(arguments: [1, 2]) func endsAfterSoManyThatAreNoBetter(ranks: Int) throws {
        let folder = TemporaryFolder()
        #expect(try Self.run(Self.plan, in: folder, ranks: ranks) == Array(repeating: .patience, count: ranks))
        let losses = try folder.data("metrics.jsonl").split(separator: UInt8(ascii: "\n")).compactMap {
            (try JSONSerialization.jsonObject(with: $0) as? [String: Any])?["valid_loss"] as? Double
        }
        #expect(losses.count == 4 && Set(losses).count == 1)
        let last = try CheckpointStore.open("\(folder.path)/checkpoints")
        #expect(last.manifest.step == 8 && last.manifest.patience?.since == 3)
        // It has ended, and stays so; with more patience it goes on.
        #expect(try Self.run(Self.plan, in: folder, ranks: ranks) == Array(repeating: .patience, count: ranks))
        var patient = Self.plan
        (patient.training.patience, patient.training.updates) = (1000, last.manifest.step + 2)
        #expect(try Self.run(patient, in: folder, ranks: ranks) == Array(repeating: .finished, count: ranks))
    }

    @Test func aResumedRunHasAsMuchLeft() throws {
        let undisturbed = TemporaryFolder(), stopped = TemporaryFolder()
        _ = try Self.run(Self.plan, in: undisturbed, ranks: 1)
        _ = try Self.run(Self.plan, in: stopped, ranks: 1, interruption: 5)
        #expect(try Self.run(Self.plan, in: stopped, ranks: 1) == [.patience])
        let ends = try [undisturbed, stopped].map { try CheckpointStore.open("\($0.path)/checkpoints").manifest.step }
        #expect(ends == [8, 8])
    }

    /// Where training is stopped it is validated too, which does not make it end sooner when it goes on.
    @Test func whereItWasStoppedDoesNotCount() throws {
        let folder = TemporaryFolder()
        var limited = Self.plan
        (limited.training.maxMinutes, limited.training.validateEvery) = (1e-12, 50)
        for update in 1...5 {
            #expect(try Self.run(limited, in: folder, ranks: 1) == [.timeLimit])
            let manifest = try CheckpointStore.open("\(folder.path)/checkpoints").manifest
            #expect(manifest.step == update && manifest.patience == .init(.loss) && manifest.validationLoss != nil)
        }
    }

    /// BLEU, the higher the better, whatever the loss does; the patience of another metric is not that of this one.
    @Test func validationsMayBeComparedByBLEU() throws {
        let folder = TemporaryFolder()
        var plan = Self.plan
        (plan.training.learningRate, plan.training.patience) = (1e-3, 2)
        (plan.training.validateBLEU, plan.training.patienceMetric) = (5, .bleu)
        let scores = [1.0, 3, 2, 3, 9], final = plan
        let ends = try SimulatedCluster.run(ranks: 1) { world in
            var validations = 0
            return try TinyRun(world, final, in: folder.path).run(bleu: {
                defer { validations += 1 }
                return scores[validations]
            })
        }
        #expect(ends == [.patience])
        let last = try CheckpointStore.open("\(folder.path)/checkpoints").manifest
        #expect(last.step == 8 && last.patience?.since == 2 && last.patience?.best == 3)
        plan.training.patienceMetric = .loss
        plan.training.updates = 10
        #expect(try Self.run(plan, in: folder, ranks: 1) == [.finished])
    }

    @Test func lossesThatAreNoNumbersAreNoBetter() {
        var patience = CheckpointManifest.Patience(.loss)
        for (loss, since) in [(Double.nan, 1), (3, 0), (.infinity, 1), (3, 2), (2.5, 0), (2.6, 1)] {
            patience.add(loss)
            #expect(patience.since == since)
        }
        #expect(patience.best == 2.5)
    }
}
