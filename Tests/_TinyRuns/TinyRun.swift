import Autograd
import Checkpoints
import Collectives
import DataPipeline
import Foundation
import MixtureMethods
import MixtureOfExperts
import Runs
import TensorCore
import Training
import TransformerModel
import _TestSupport

/// A prepared corpus that the suites share: 200 numbers in English with Catalan and with Icelandic.
///
/// Its folder is gone once it is open: mapped files outlive their names.
package enum TinyCorpus {
    package static var shared: PreparedCorpus { made.corpus }
    /// The bytes of its tokenizer's file.
    package static var tokenizerModel: Data { made.tokenizerModel }

    private static let made: (corpus: PreparedCorpus, tokenizerModel: Data) = {
        let folder = TemporaryFolder()
        return withExtendedLifetime(folder) {
            var data = DataConfiguration(format: .numerals, prepared: "\(folder.path)/prepared")
            data.vocabulary = 120
            data.numerals.below = 2000
            data.numerals.languages = ["cat", "isl"]
            data.numerals.pairs = 200
            data.numerals.validation = 12
            data.numerals.test = 8
            let corpus = try! PreparedCorpus(path: PreparedCorpus.prepare(configuration: data, threads: 1).path)
            let file = URL(fileURLWithPath: "\(corpus.path)/\(PreparationManifest.modelName)")
            return (corpus, try! Data(contentsOf: file))
        }
    }()
}

/// What a tiny training run is made from.
package struct TinyPlan: Sendable {
    package var model = ModelConfiguration()
    package var training = TrainingConfiguration()
    package var cadence = CheckpointConfiguration()
    package var expertParallel: Int?
    package var shardOptimizer = false
    package var replicas = ExpertReplicas.off
    /// The experts that every rank has from the first update on.
    package var replicated: [String: [Int]] = [:]
    package var wire = WireFormat.float32
    package var interleave = AutomaticChoice.auto
    /// Ranks that are taken to be on one host, neighbours; rows are passed on within it. nil: nothing is.
    package var ranksPerHost: Int?
    package var threads = 1
    package var bucketBytes = GradientSynchronizer.bucketBytes
    package var identity = ["model": "tiny"]

    package init(strata: [Int], topK: Int = 2, updates: Int = 10) {
        (model.dim, model.ffnDim, model.heads, model.encoderLayers, model.decoderLayers) = (16, 32, 2, 2, 2)
        (model.dropout, model.attentionDropout) = (0.1, 0.1)
        if !strata.isEmpty {
            model.mixture = MixtureConfiguration(strata: strata)
            model.mixture?.topK = topK
        }
        training.updates = updates
        training.tokensPerGroup = 150
        (training.learningRate, training.warmup) = (2e-3, 10)
        training.seed = 7
        training.validateEvery = 0
        cadence.every = 1000
    }

    fileprivate func configuration(_ directions: [Direction]) -> RunConfiguration {
        var configuration = RunConfiguration(data: DataConfiguration(format: .numerals, prepared: "/nowhere"))
        (configuration.model, configuration.training, configuration.checkpoint) = (model, training, cadence)
        configuration.data.directions = directions
        configuration.parallel.expertParallel = expertParallel
        configuration.parallel.shardOptimizer = shardOptimizer
        configuration.parallel.replicas = replicas
        (configuration.parallel.wire, configuration.parallel.interleave) = (wire, interleave)
        configuration.parallel.hostRelay = ranksPerHost == nil ? .off : .on
        return configuration
    }

    /// Strata of four experts each, top-2, second expert sampled.
    package static func stratified(updates: Int = 10) -> TinyPlan { TinyPlan(strata: [4, 4], updates: updates) }
    /// One stratum, top-1.
    package static func switchTransformer(updates: Int = 10) -> TinyPlan { TinyPlan(strata: [8], topK: 1, updates: updates) }
}

/// One rank's part of a tiny run. Expectations on a rank's thread are `#require`d: there the test is not known, and only a
/// thrown failure finds its way to it.
package final class TinyRun {
    package let plan: TinyPlan
    private let run: TrainingRun
    package let trainer: Trainer
    package let checkpoints: CheckpointStore
    package let log: MetricsLog?
    private let source: TokenGroupSampler
    private let heldOut: EvaluationGroups?

    /// The run in `folder`, from its newest sound checkpoint if there is one; else `begin` may load what it begins with.
    package init(
        _ world: any Communicator, _ plan: TinyPlan, in folder: String = "/nowhere",
        begin: (TrainingRun) throws -> Void = { _ in }
    ) throws {
        self.plan = plan
        let corpus = TinyCorpus.shared, configuration = plan.configuration(corpus.directions)
        run = try TrainingRun(
            configuration, vocabulary: corpus.vocabularySize, world: world,
            host: "host \(world.rank / (plan.ranksPerHost ?? 1))", context: ComputeContext(threads: plan.threads))
        checkpoints = run.checkpoints(in: "\(folder)/checkpoints", identity: plan.identity)
        if let reader = try checkpoints.openNewest(report: { _ in }) {
            try run.resume(from: reader)
        } else {
            if run.groups.layout.expertParallel > 1 { run.begin(replicating: plan.replicated) }
            try begin(run)
        }
        let isLogging = world.rank == 0 && FileManager.default.fileExists(atPath: folder)
        log = isLogging ? try MetricsLog(path: "\(folder)/metrics.jsonl", continuingAfter: run.start) : nil
        source = try configuration.sampler(of: corpus)
        trainer = try run.trainer(on: source, bucketBytes: plan.bucketBytes)
        heldOut = try configuration.heldOut(of: corpus)
    }

    package var groups: ParallelGroups { run.groups }
    package var passesOnWithinHosts: Bool { run.passesOnWithinHosts }
    package var model: TranslationModel { run.model }
    package var optimizer: Adam { run.optimizer }

    /// Leads the run; `interruption` is the update that an interruption precedes, and `beforeUpdate` is told of every update.
    package func run(
        interruption: Int? = nil, report: (TrainingEvent) -> Void = { _ in }, beforeUpdate: (Int) -> Void = { _ in },
        bleu: (() throws -> Double)? = nil
    ) throws -> TrainingEnd {
        let coordinator = TrainingCoordinator(
            trainer: trainer, checkpoints: checkpoints, cadence: plan.cadence, heldOut: heldOut, bleu: bleu, log: log,
            patience: run.resumed?.patience)
        let isInterrupted = {
            beforeUpdate(self.trainer.update + 1)
            return self.trainer.update + 1 == interruption
        }
        return try coordinator.run(isInterrupted: isInterrupted, report: report)
    }

    @discardableResult
    package func save() throws -> String {
        try save(step: trainer.update)
    }

    @discardableResult
    package func save(step: Int, validationLoss: Double? = nil) throws -> String {
        let applied = step == trainer.update ? trainer.applied : nil
        return try checkpoints.save(
            step: step, applied: applied, earlierUpdates: trainer.earlierUpdates, seed: plan.training.seed,
            validationLoss: validationLoss, pools: trainer.pools, replicated: model.replicated, state: rankState)
    }

    package var rankState: RankState { run.state }

    /// All token groups of an update, whichever ranks run them.
    package func groups(ofUpdate update: Int) -> [TokenGroup] {
        (0..<source.groups).map { source.group(update: update, index: $0) }
    }

    package func validate() throws -> ValidationMetrics { try trainer.validate(heldOut!) }

    /// Parameters and moments that this rank holds.
    package var state: ModelState { ModelState(model.store, optimizer, run.average) }
}

extension CheckpointStore {
    /// Saves and waits.
    ///
    /// - Returns: The checkpoint's folder.
    @discardableResult
    package func save(
        step: Int, applied: Int? = nil, earlierUpdates: Int = 0, seed: UInt64, validationLoss: Double? = nil,
        pools: [ExpertPool]? = nil, replicated: [String: [Int]] = [:], state: RankState
    ) throws -> String {
        try begin(
            step: step, applied: applied, earlierUpdates: earlierUpdates, seed: seed, validationLoss: validationLoss,
            pools: pools, replicated: replicated, state: state, copying: false)
        return try complete()!.get().path
    }
}

/// Parameters and moments by name, as bits: equal only if every bit is. Moments that the rank does not have are nil.
package struct ModelState: Equatable, Sendable {
    package private(set) var tensors: [String: [UInt32?]] = [:]

    package init(_ store: ParameterStore, _ optimizer: Adam, _ average: ParameterAverage? = nil) {
        for placement in ParameterPlacement.allCases {
            let values = store.section(placement).values, moments = optimizer.moments(placement)
            let share = optimizer.share(placement)
            let kept = average.map { [("average.", $0.values(placement), share)] } ?? []
            for (prefix, tensor, present) in [
                ("", values, 0..<values.count), ("adam.m.", moments.first, share), ("adam.v.", moments.second, share),
            ] + kept {
                for location in store.locations(placement) {
                    tensors[prefix + location.slice.name] = location.range.map {
                        present.contains($0) ? tensor.buffer[$0 - present.lowerBound].bitPattern : nil
                    }
                }
            }
        }
    }

    /// The whole model's, from all ranks'. Copies on different ranks must not differ.
    package init(joining ranks: [ModelState]) throws {
        for state in ranks {
            for (name, bits) in state.tensors {
                guard let known = tensors[name] else {
                    tensors[name] = bits
                    continue
                }
                tensors[name] = try zip(known, bits).map { known, bits in
                    guard let known, let bits, known != bits else { return known ?? bits }
                    throw CopiesDiffer(tensor: name)
                }
            }
        }
    }

    package struct CopiesDiffer: Error {
        package let tensor: String
    }

    /// The names of tensors that are not equal, sorted.
    package func differences(from other: ModelState) -> [String] {
        Set(tensors.keys).union(other.tensors.keys).filter { tensors[$0] != other.tensors[$0] }.sorted()
    }
}

extension UpdateMetrics {
    /// Without what depends on the clock.
    package var timeless: UpdateMetrics {
        var copy = self
        (copy.tokensPerSecond, copy.secondsLeft) = (0, nil)
        return copy
    }
}
