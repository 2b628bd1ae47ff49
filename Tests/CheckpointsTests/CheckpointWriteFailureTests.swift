import Checkpoints
import Collectives
import Foundation
import Testing
import _TestSupport
import _TinyRuns

/// A rank that cannot write: every rank is told, none waits, and earlier checkpoints stay.
@Suite(.hangLimit) struct CheckpointWriteFailureTests {
    /// Rank `failing` finds a file where the folder of the checkpoints should be: the tests may run as root, whom no
    /// permission stops.
    private static func save(ranks: Int, failing: Int, in folder: TemporaryFolder) throws -> [CheckpointError] {
        try folder.write("file", Data())
        return try SimulatedCluster.run(ranks: ranks) { world in
            let run = try TinyRun(world, .stratified(), in: folder.path)
            _ = try run.trainer.step()
            try run.save()
            _ = try run.trainer.step()
            let directory = world.rank == failing ? "\(folder.path)/file" : run.checkpoints.directory
            let store = CheckpointStore(
                directory: directory, groups: run.groups, retention: CheckpointRetention(newest: 1, best: 0),
                identity: run.plan.identity, context: run.model.context)
            let error = try #require(throws: CheckpointError.self) {
                try store.save(step: 2, seed: 7, state: run.rankState)
            }
            // All are in step still.
            _ = try run.trainer.step()
            return error
        }
    }

    @Test(arguments: [(1, 0), (2, 0), (2, 1), (4, 2)]) func everyRankIsToldWhy(ranks: Int, failing: Int) throws {
        let folder = TemporaryFolder()
        let errors = try Self.save(ranks: ranks, failing: failing, in: folder)
        for error in errors {
            guard case let .notWritten(step: 2, reasons) = error else {
                Issue.record("\(error)")
                return
            }
            #expect(reasons.count == 1)
            #expect(reasons[0].hasPrefix("rank \(failing): \(folder.path)/file"), "\(reasons)")
        }
        #expect(try CheckpointStore.steps("\(folder.path)/checkpoints") == [1])
        #expect(try folder.data("checkpoints/latest") == Data("step-00000001\n".utf8))
        _ = try SimulatedCluster.run(ranks: 1) { world in
            let run = try TinyRun(world, .stratified(), in: folder.path)
            try #require(run.trainer.update == 1)
        }
    }

    @Test func manyReasonsAreShortened() {
        let error = CheckpointError.notWritten(step: 9, reasons: (0..<5).map { "rank \($0): no space" })
        #expect(
            error.description == """
                the checkpoint of update 9 was not written; the ones before it are untouched:
                  rank 0: no space
                  rank 1: no space
                  rank 2: no space
                  and 2 more
                """)
    }
}
