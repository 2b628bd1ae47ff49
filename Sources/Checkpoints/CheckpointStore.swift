import Autograd
import Collectives
import Files
import Foundation
import MixtureOfExperts
import TensorCore
import Training

/// The checkpoints of a run: `checkpoints/step-00001000/` with the shards that the ranks own and a manifest.
///
/// A checkpoint is written under a temporary name, synced, and committed by one rename once every rank has reported success;
/// then `latest` is swapped. Whatever interrupts it leaves the checkpoints before it as they were.
///
/// Files are written by a thread of their own, while training goes on. What communicates (`begin`, `poll`, `complete`) is called
/// by the rank's own thread, on every rank alike.
public final class CheckpointStore {
    public let directory: String
    let groups: ParallelGroups
    private let retention: CheckpointRetention
    let identity: [String: String]
    private let context: ComputeContext
    /// The memory of snapshots, kept from save to save.
    private var memory: Tensor?
    private var pending: PendingSave?
    /// The update of the last save, while nobody knows whether its state is one that training can go on from.
    private var unconfirmed: Int?
    /// The newest checkpoint, once it is confirmed and what need not stay because of it is still to be removed.
    private var duePruning: Int?
    /// The first rank's alone.
    private var pruning: BackgroundTask<Void>?
    /// Writes one shard. Tests put other things in its place: a disk that is slow, or full.
    var writeShard: @Sendable (_ content: ShardContent, _ path: String) throws -> FileRecord = { try $0.write(to: $1) }

    public init(
        directory: String, groups: ParallelGroups, retention: CheckpointRetention, identity: [String: String],
        context: ComputeContext
    ) {
        self.directory = directory
        self.groups = groups
        self.retention = retention
        self.identity = identity
        self.context = context
    }

    /// A checkpoint that is durable.
    public struct Committed: Equatable, Sendable {
        public let path: String
        /// Seconds from the beginning of the save on.
        public let seconds: Double
    }

    public typealias Outcome = Result<Committed, CheckpointError>

    /// A save whose files are being written.
    private struct PendingSave {
        let manifest: CheckpointManifest
        let start: ContinuousClock.Instant
        /// The task of this phase; nil on ranks that have nothing to do in it.
        var task: BackgroundTask<FileRecord?>?
        var isCommitting = false
    }

    var isSaving: Bool { pending != nil }

    var isFirst: Bool { groups.world.rank == 0 }

    /// Begins to save the state after update `step`, in a copy, so that training may go on at once; without `copying` the
    /// state must not change until `complete`. `applied` is how many updates up to it were not skipped; nil: all, and
    /// `earlierUpdates` how many before the run had moved its moments. `pools` are the experts that exist, where they come
    /// and go. No other save is under way. Unless the state is known to be sound, no checkpoint is removed because of this
    /// one before `confirm`.
    ///
    /// - Throws: `CheckpointError.notWritten`, the same on every rank, if nothing can be written at all.
    public func begin(
        step: Int, applied: Int? = nil, earlierUpdates: Int = 0, seed: UInt64, validationLoss: Double?,
        patience: CheckpointManifest.Patience? = nil, pools: [ExpertPool]? = nil, replicated: [String: [Int]] = [:],
        state: RankState, isSound: Bool = true, copying: Bool
    ) throws {
        precondition(pending == nil, "one save at a time")
        finishPruning()
        unconfirmed = isSound ? nil : step
        let start = ContinuousClock.now, partial = Self.partial(directory, step)
        let shares = try MomentShares(state, groups)
        var reason = ""
        do { if isFirst { try Folder.createEmpty(partial) } } catch { reason = "\(error)" }
        try require(step, gather(reason))
        var content = ShardContent(state, groups, shares: shares)
        if copying { content = context.clock.measure(.other, "snapshot") { snapshot(content) } }
        var manifest = CheckpointManifest(
            step: step, applied: applied, seed: seed, ranks: groups.world.size, expertParallel: groups.layout.expertParallel,
            validationLoss: validationLoss, identity: identity, files: [])
        manifest.earlierUpdates = earlierUpdates == 0 ? nil : earlierUpdates
        manifest.patience = patience
        manifest.pools = pools
        manifest.replicated = replicated.isEmpty ? nil : replicated
        pending = PendingSave(manifest: manifest, start: start)
        guard !content.parts.isEmpty else { return }
        let path = "\(partial)/\(Self.shardName(groups.world.rank))"
        pending?.task = BackgroundTask(writing: path) { [content, writeShard] in try writeShard(content, path) }
    }

    /// An update was done from the state last saved, or one after it, and was finite: what need not stay may go.
    public func confirm() {
        guard let step = unconfirmed else { return }
        unconfirmed = nil
        // A commit that is still to begin looks after it itself.
        if let pending, !pending.isCommitting { return }
        duePruning = step
        if pending == nil { beginPruning() }
    }

    private func beginPruning() {
        guard let newest = duePruning else { return }
        duePruning = nil
        guard isFirst else { return }
        pruning = BackgroundTask(writing: directory) { [directory, retention] in
            Self.prune(directory, retention, newest: newest)
        }
    }

    /// Waits: a pruning that went on would take a new save's folder for one that was interrupted.
    private func finishPruning() {
        _ = pruning?.wait()
        pruning = nil
    }

    /// Looks whether the save under way is done, without waiting for it; nil if not, or if there is none. Every rank calls it at
    /// the same point: one small collective while there is a save.
    public func poll() throws -> Outcome? {
        guard let pending else { return nil }
        let isFinished = pending.task?.isFinished ?? true
        guard try groups.world.allReduce(Int64(isFinished ? 1 : 0), .minimum) == 1 else { return nil }
        return try advance()
    }

    /// Waits for the save under way; nil if there is none.
    public func complete() throws -> Outcome? {
        while pending != nil {
            if let outcome = try advance() {
                finishPruning()
                return outcome
            }
        }
        finishPruning()
        return nil
    }

    private func snapshot(_ content: ShardContent) -> ShardContent {
        let count = content.count
        if memory.map({ $0.count < count }) ?? true { memory = context.uninitialized(1, count) }
        return content.copied(into: memory!, context.pool)
    }

    /// Waits for this phase on all ranks, and begins the next.
    private func advance() throws -> Outcome? {
        guard var save = pending else { return nil }
        var record: FileRecord?, reason = ""
        do { record = try save.task?.wait().get() } catch { reason = "\(error)" }
        let reasons = try gather(reason), records = try gather(record), step = save.manifest.step
        guard reasons.isEmpty else {
            pending = nil
            (unconfirmed, duePruning) = (nil, nil)
            if isFirst { Self.discard(directory, step) }
            return .failure(.notWritten(step: step, reasons: reasons))
        }
        if save.isCommitting {
            pending = nil
            beginPruning()
            return .success(
                Committed(
                    path: "\(directory)/\(Self.folder(step))", seconds: (ContinuousClock.now - save.start) / .seconds(1)))
        }
        var manifest = save.manifest
        manifest.files = records
        save.isCommitting = true
        save.task =
            !isFirst
            ? nil
            : BackgroundTask(writing: Self.partial(directory, step)) { [directory, retention, manifest, unconfirmed] in
                try Self.commit(directory, manifest)
                Self.prune(directory, retention, newest: unconfirmed == step ? step - 1 : step)
                return nil
            }
        pending = save
        return nil
    }

    private func require(_ step: Int, _ reasons: [String]) throws {
        guard reasons.isEmpty else { throw CheckpointError.notWritten(step: step, reasons: reasons) }
    }

    /// The reasons of all ranks that have one, on every rank.
    private func gather(_ reason: String) throws -> [String] {
        let own = reason.isEmpty ? "" : "rank \(groups.world.rank): \(reason)"
        return try groups.world.allGather(varying: [UInt8](own.utf8)).filter { !$0.isEmpty }.map {
            String(decoding: $0, as: UTF8.self)
        }
    }

    /// What every rank that has something has, in rank order, on every rank.
    func gather<Value: Codable>(_ value: Value?) throws -> [Value] {
        let encoded = try value.map { try JSONEncoder().encode($0) } ?? Data()
        return try groups.world.allGather(varying: [UInt8](encoded)).filter { !$0.isEmpty }
            .map { try JSONDecoder().decode(Value.self, from: Data($0)) }
    }
}
