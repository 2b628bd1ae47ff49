import Collectives
import Files

/// Finding the checkpoint that a run goes on from, by all ranks together.
extension CheckpointStore {
    /// Why a rank cannot use a checkpoint, or the folder of all.
    private struct Obstacle: Codable {
        let rank: Int
        let path: String
        let reason: String
        /// Whether the checkpoint is damaged; else it may be sound, but cannot be read.
        let isDamage: Bool

        init(_ error: any Error, at path: String, rank: Int) {
            self.rank = rank
            isDamage = CheckpointError(damage: error) != nil
            if case let .damaged(path, reason) = CheckpointError(problem: error, at: path) {
                (self.path, self.reason) = (path, reason)
            } else {
                (self.path, self.reason) = (path, "\(error)")
            }
        }
    }

    /// Opens the newest sound checkpoint; nil if there is none at all. The first rank says which there are, and each compares the
    /// checksums of its share of a checkpoint's files. `report` is told of every damaged one that is passed over.
    ///
    /// A collective operation, whose errors all ranks throw.
    ///
    /// - Throws: `CheckpointError.none` if none is sound, `.incompatible`; `FileError` where something cannot be read: an older
    ///   checkpoint is no substitute for one that may be sound.
    public func openNewest(report: (CheckpointError) -> Void) throws -> CheckpointReader? {
        var rejected: [String] = []
        for step in try committedSteps().reversed() {
            let path = Self.path(directory, step)
            let (reader, obstacles) = try attempt(at: path) {
                let reader = try CheckpointReader(path: path, verifyingAs: groups.world.rank, of: groups.world.size)
                try reader.requireStep(step)
                return reader
            }
            // Which of several files is named does not depend on how many ranks have looked.
            if let damage = obstacles.filter(\.isDamage).min(by: { $0.path < $1.path }) {
                let error = CheckpointError.damaged(path: damage.path, reason: damage.reason)
                report(error)
                rejected.append(error.description)
                continue
            }
            try requireNone(obstacles)
            let opened = try reader.get()
            try opened.requireIdentity(identity)
            return opened
        }
        guard rejected.isEmpty else { throw CheckpointError.none(directory: directory, rejected: rejected) }
        return nil
    }

    /// As the first rank lists them: others may see a folder in another state.
    private func committedSteps() throws -> [Int] {
        let (steps, obstacles) = try attempt(at: directory) { isFirst ? try Self.steps(directory) : [] }
        try requireNone(obstacles)
        return try groups.world.broadcast(varying: steps.get().map(Int64.init), root: 0).map(Int.init)
    }

    /// What `body` makes on this rank, and on every rank what has kept any from it. `body` does not communicate.
    private func attempt<Value>(at path: String, _ body: () throws -> Value) throws -> (Result<Value, any Error>, [Obstacle]) {
        let outcome = Result { try body() }
        var obstacle: Obstacle?
        if case let .failure(error) = outcome { obstacle = Obstacle(error, at: path, rank: groups.world.rank) }
        return (outcome, try gather(obstacle))
    }

    private func requireNone(_ obstacles: [Obstacle]) throws {
        guard let first = obstacles.first else { return }
        let place = groups.world.size > 1 ? " (on rank \(first.rank))" : ""
        throw FileError(path: first.path, reason: first.reason + place)
    }
}
