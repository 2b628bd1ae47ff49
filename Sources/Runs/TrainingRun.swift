import Checkpoints
import Collectives
import DataPipeline
import Files
import Foundation
import MixtureOfExperts
import TensorCore
import Training
import TransformerModel

/// One rank's part of a training run, assembled from its configuration: communicators, model and optimizer, then, where there
/// are checkpoints, the state that it goes on from, then the trainer.
public final class TrainingRun {
    public let configuration: RunConfiguration
    public let groups: ParallelGroups
    /// Token groups that a rank runs in turns.
    private let lanes: Int
    /// The hosts of the group's ranks, where rows are passed on within them.
    private let relayHosts: PlaceHosts?
    /// The places of experts in their group, by block; none: the usual ones.
    private let places: [String: [Int]]
    /// The experts that every rank has while others are spread, by block.
    private var replicated: [String: [Int]] = [:]
    /// What the trainer begins with: until it is made.
    private var first: State?
    private var made: Trainer?
    /// The manifest of the checkpoint that the run goes on from; nil for one that begins.
    public private(set) var resumed: CheckpointManifest?

    /// Updates before the run's first that had moved the moments which it begins with; 0 where those are 0.
    private var earlierUpdates = 0

    /// Makes the model of `vocabulary` tokens with the parameters that the seed gives, and the optimizer. `host` is the name of this
    /// rank's; nil: nothing is known of hosts. A collective operation.
    ///
    /// - Throws: `PlacementError` where the ranks cannot be laid out as configured; `PrecisionError` where the processor cannot
    ///   compute as configured; `RunError` where parameters are to be trained that the model does not have, or groups to be run in turns
    ///   where that gains nothing.
    public init(
        _ configuration: RunConfiguration, vocabulary: Int, world: any Communicator, host: String? = nil,
        context: ComputeContext
    ) throws {
        self.configuration = configuration
        try configuration.requireTrainable(vocabulary: vocabulary, on: world)
        groups = try ParallelGroups(
            world: world, expertParallel: configuration.parallel.expertParallel, mixture: configuration.model.mixture)
        lanes = try configuration.lanes(groups.layout, movesWhileComputing: world.movesWhileComputing)
        relayHosts = try configuration.relayHosts(groups.experts, groups.layout, host: host)
        places = try configuration.placements(groups.layout)
        try Self.requireAlike(places, on: world, path: configuration.parallel.placement)
        first = state(vocabulary: vocabulary, context: context, experts: nil)
    }

    /// Every rank reads the file, and rows are sent by what it says: of two that differ each would take the other's experts for others.
    private static func requireAlike(_ places: [String: [Int]], on world: any Communicator, path: String?) throws {
        guard let path else { return }
        let text = places.sorted { $0.key < $1.key }.map { "\($0.key) \($0.value)" }.joined(separator: "\n")
        let checksum = Int64(bitPattern: Data(text.utf8).withUnsafeBytes { Checksum.value(of: $0) })
        guard try world.allReduce(checksum, .minimum) == world.allReduce(checksum, .maximum) else {
            throw RunError(.data, "\(path): must be the same on every host, but differs: copy it to all of them again")
        }
    }

    private func state(vocabulary: Int, context: ComputeContext, experts: [[Int]]?) -> State {
        State(
            configuration, vocabulary: vocabulary, context: context, groups, relayHosts: relayHosts, places: places,
            replicated: replicated, lanes: lanes, experts: experts)
    }

    /// Model, optimizer and average.
    private struct State {
        let model: TranslationModel
        let optimizer: Adam
        let average: ParameterAverage?

        /// `experts` that exist, by block; nil: those that do at first.
        init(
            _ configuration: RunConfiguration, vocabulary: Int, context: ComputeContext, _ groups: ParallelGroups,
            relayHosts: PlaceHosts?, places: [String: [Int]], replicated: [String: [Int]], lanes: Int, experts: [[Int]]?
        ) {
            let training = configuration.training
            model = TranslationModel(
                configuration: configuration.model, vocabulary: vocabulary, context: context, expertGroup: groups.experts,
                seed: training.seed, experts: experts, places: places, replicated: replicated,
                wire: configuration.parallel.wire, passingOnWithin: relayHosts, lanes: lanes,
                isTrained: training.trained.contains)
            optimizer = Adam(
                store: model.store, context: context, beta1: training.adamBeta1, beta2: training.adamBeta2,
                epsilon: training.adamEpsilon, weightDecay: training.weightDecay,
                shardedOver: configuration.parallel.shardOptimizer ? groups : nil)
            average =
                training.averageDecay > 0
                ? ParameterAverage(of: model.store, optimizer: optimizer, decay: training.averageDecay, context: context) : nil
        }
    }

    /// Whether experts are spread as usual, and not as a file says.
    public var hasUsualPlaces: Bool { places.isEmpty }

    /// Token groups that a rank runs in turns.
    public var groupsInTurns: Int { lanes }

    /// Whether rows are passed on within hosts.
    public var passesOnWithinHosts: Bool { relayHosts != nil }

    private var begun: State {
        guard let first else { preconditionFailure("a run has a trainer, or what it begins with") }
        return first
    }

    /// The model as it now is: training may put another in its place.
    public var model: TranslationModel { made?.model ?? begun.model }
    public var optimizer: Adam { made?.optimizer ?? begun.optimizer }
    /// nil where the configuration asks for none.
    public var average: ParameterAverage? { made.map(\.average) ?? begun.average }

    /// Has the model have these experts, by block, where they are others; its parameters are then to be loaded.
    public func begin(with experts: [[Int]]) {
        if experts != model.blocks.map(\.placement.existing) { remake(experts: experts) }
    }

    /// Has every rank have these experts, by block, while others are spread; the model's parameters are then to be loaded.
    public func begin(replicating replicated: [String: [Int]]) {
        guard replicated != model.replicated else { return }
        self.replicated = replicated
        remake(experts: nil)
    }

    private func remake(experts: [[Int]]?) {
        let (vocabulary, context) = (model.vocabulary, model.context)
        // Not both in memory.
        first = nil
        first = state(vocabulary: vocabulary, context: context, experts: experts)
    }

    /// Takes note that the optimizer's moments were loaded, and that so many updates had moved them.
    public func begin(withMomentsOf updates: Int) { earlierUpdates = updates }

    /// The last update done when the trainer is made.
    public var start: Int { resumed?.step ?? 0 }

    /// What a checkpoint keeps of this rank.
    public var state: RankState { RankState(store: model.store, optimizer: optimizer, average: average) }

    /// The run's checkpoints in a folder; `identity` is what they are bound to.
    public func checkpoints(in directory: String, identity: [String: String]) -> CheckpointStore {
        CheckpointStore(
            directory: directory, groups: groups, retention: configuration.checkpoint.retention, identity: identity,
            context: model.context)
    }

    /// Takes parameters and moments from a checkpoint, and which experts exist.
    ///
    /// - Throws: `CheckpointError.damaged`; `FileError` where a file cannot be read.
    public func resume(from checkpoint: CheckpointReader) throws {
        if let mixture = configuration.model.mixture, mixture.pool != nil {
            let pools = checkpoint.manifest.pools ?? [], names = configuration.model.blockNames
            let width = configuration.model.dim / mixture.rowsPerToken
            guard pools.map(\.block) == names, pools.allSatisfy({ $0.isOf(mixture, width: width) }) else {
                throw CheckpointError.damaged(
                    path: checkpoint.path,
                    reason: "its manifest must say which experts exist in \(names.joined(separator: ", ")), but does not")
            }
            begin(with: pools.map(\.experts))
        }
        begin(replicating: try replicas(of: checkpoint))
        try checkpoint.load(into: state)
        if let absent = model.absentChoice {
            throw CheckpointError.damaged(path: checkpoint.path, reason: "\(absent) may be chosen, but does not exist")
        }
        resumed = checkpoint.manifest
        earlierUpdates = checkpoint.manifest.earlierUpdates ?? 0
    }

    /// The experts that a checkpoint says every rank is to have; none where none may.
    private func replicas(of checkpoint: CheckpointReader) throws -> [String: [Int]] {
        guard configuration.parallel.replicas == .auto, groups.layout.expertParallel > 1 else { return [:] }
        let replicated = checkpoint.manifest.replicated ?? [:]
        let blocks = Dictionary(uniqueKeysWithValues: model.blocks.map { ($0.name, $0.placement.experts) })
        for (name, experts) in replicated {
            guard let count = blocks[name], experts.allSatisfy((0..<count).contains), Set(experts).count == experts.count
            else {
                throw CheckpointError.damaged(
                    path: checkpoint.path,
                    reason: "replicated must name experts of \(blocks.keys.sorted().joined(separator: ", ")), each once, but "
                        + "names \(experts) of \(name)")
            }
        }
        return replicated
    }

    /// What does the run's updates, with the groups of `source`; `peakFlops` as `Trainer` takes it. A collective operation.
    public func trainer(
        on source: any TokenGroupSource, bucketBytes: Int = GradientSynchronizer.bucketBytes, peakFlops: Double? = nil
    ) throws -> Trainer {
        let trainer = try Trainer(
            model: model, optimizer: optimizer, average: average, groups: groups, source: source,
            configuration: configuration.training,
            startingAfter: start, applied: resumed?.applied, earlierUpdates: earlierUpdates, pools: resumed?.pools,
            replicas: configuration.parallel.replicas, bucketBytes: bucketBytes, peakFlops: peakFlops)
        // What an update puts others in place of is not to stay in memory.
        (made, first) = (trainer, nil)
        return trainer
    }
}

extension RunConfiguration {
    /// The groups of every update, of prepared data.
    ///
    /// - Throws: `DataError`.
    public func sampler(of corpus: PreparedCorpus) throws -> TokenGroupSampler {
        try TokenGroupSampler(
            corpus: corpus, directions: data.directions, temperature: data.temperature,
            subwordSampling: data.subwordSampling, stages: data.allStages, seed: training.seed,
            groups: training.tokenGroups, tokensPerGroup: training.tokensPerGroup)
    }

    /// The text that validation measures the loss on; nil if there is none.
    ///
    /// - Throws: `DataError`.
    public func heldOut(of corpus: PreparedCorpus) throws -> EvaluationGroups? {
        let groups = try EvaluationGroups(
            corpus: corpus, split: .valid, directions: data.directions, tokensPerGroup: training.tokensPerGroup)
        return groups.isEmpty ? nil : groups
    }
}
