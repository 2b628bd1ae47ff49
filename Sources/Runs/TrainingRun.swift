import Checkpoints
import Collectives
import DataPipeline
import TensorCore
import Training
import TransformerModel

/// One rank's part of a training run, assembled from its configuration: communicators, model and optimizer, then, where there
/// are checkpoints, the state that it goes on from, then the trainer.
public final class TrainingRun {
    public let configuration: RunConfiguration
    public let groups: ParallelGroups
    public let model: TranslationModel
    public let optimizer: Adam
    /// nil where the configuration asks for none.
    public let average: ParameterAverage?
    /// The manifest of the checkpoint that the run goes on from; nil for one that begins.
    public private(set) var resumed: CheckpointManifest?

    /// Makes the model of `vocabulary` tokens with the parameters that the seed gives, and the optimizer. A collective operation.
    ///
    /// - Throws: `PlacementError` where the ranks cannot be laid out as configured; `PrecisionError` where the processor cannot
    ///   compute as configured.
    public init(
        _ configuration: RunConfiguration, vocabulary: Int, world: any Communicator, context: ComputeContext
    ) throws {
        self.configuration = configuration
        let training = configuration.training, parallel = configuration.parallel
        try GEMM.checkTraining(in: configuration.model.compute)
        groups = try ParallelGroups(
            world: world, expertParallel: parallel.expertParallel, strata: configuration.model.mixture?.strata ?? [])
        model = TranslationModel(
            configuration: configuration.model, vocabulary: vocabulary, context: context, expertGroup: groups.experts,
            seed: training.seed)
        optimizer = Adam(
            store: model.store, context: context, beta1: training.adamBeta1, beta2: training.adamBeta2,
            epsilon: training.adamEpsilon, weightDecay: training.weightDecay,
            shardedOver: parallel.shardOptimizer ? groups : nil)
        average =
            training.averageDecay > 0
            ? ParameterAverage(of: model.store, optimizer: optimizer, decay: training.averageDecay, context: context) : nil
    }

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

    /// Takes parameters and moments from a checkpoint.
    ///
    /// - Throws: `CheckpointError.damaged`; `FileError` where a file cannot be read.
    public func resume(from checkpoint: CheckpointReader) throws {
        try checkpoint.load(into: state)
        resumed = checkpoint.manifest
    }

    /// What does the run's updates, with the groups of `source`; `peakFlops` as `Trainer` takes it. A collective operation.
    public func trainer(
        on source: any TokenGroupSource, bucketBytes: Int = GradientSynchronizer.bucketBytes, peakFlops: Double? = nil
    ) throws -> Trainer {
        try Trainer(
            model: model, optimizer: optimizer, average: average, groups: groups, source: source,
            configuration: configuration.training,
            startingAfter: start, applied: resumed?.applied, bucketBytes: bucketBytes, peakFlops: peakFlops)
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
