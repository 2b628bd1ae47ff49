import Autograd
import Checkpoints
import Collectives
import Files
import Foundation
import MixtureOfExperts
import Reporting
import Runs
import TensorCore

/// The same training in many ways: on several numbers of ranks and threads, with experts and the optimizer's work shared out
/// otherwise, with activations recomputed, and resumed half-way on other ranks. Every way must end in the same bits.
public struct InvarianceBenchmark: Sendable {
    let configuration: RunConfiguration
    let updates: Int

    public init(_ configuration: RunConfiguration, updates: Int) {
        self.configuration = configuration
        self.updates = updates
    }

    /// How a run is computed.
    struct Way: Encodable {
        var ranks = 1
        /// Threads of this process, or else ranks that the benchmark was started on.
        var isSimulated = true
        /// nil: as many as there can be.
        var expertParallel: Int?
        var threads = 1
        var shardOptimizer = false
        var recompute = false
        /// The ranks that go on half-way; nil: the same run goes on.
        var resumedOn: Int?
    }

    static let ways = [
        Way(), Way(threads: 2), Way(recompute: true), Way(ranks: 2), Way(ranks: 2, expertParallel: 1, threads: 2),
        Way(ranks: 3),
        Way(ranks: 3, shardOptimizer: true, recompute: true), Way(ranks: 4),
        Way(ranks: 4, expertParallel: 2, shardOptimizer: true),
        Way(ranks: 4, resumedOn: 1), Way(ranks: 2, shardOptimizer: true, resumedOn: 3), Way(ranks: 8),
        Way(ranks: 8, expertParallel: 2, threads: 2, shardOptimizer: true), Way(ranks: 1, resumedOn: 8),
    ]

    public struct Outcome: Encodable {
        let way: Way
        /// XXH3 of all parameters and moments after the last update, by name.
        let hash: String
        let seconds: Double
        /// The loss of the last update.
        let loss: Double
    }

    public struct Figures: Encodable {
        let updates: Int
        let outcomes: [Outcome]

        /// Whether every way ended in the same bits.
        public var areEqual: Bool { outcomes.allSatisfy { $0.hash == outcomes[0].hash && $0.loss == outcomes[0].loss } }
    }

    /// On simulated ranks.
    ///
    /// - Throws: `PlacementError` where the experts cannot be spread as a way wants it; `FileError` without room for checkpoints.
    public func measure(display: ProgressDisplay?) throws -> Figures {
        let folder = Self.newFolder()
        defer { try? FileManager.default.removeItem(atPath: folder) }
        let fitting = Self.ways.filter { way in
            let mixture = configuration.model.mixture
            return (try? ParallelLayout(ranks: way.ranks, expertParallel: way.expertParallel, mixture: mixture)) != nil
        }
        let outcomes = try fitting.enumerated().map { index, way in
            display?.show("way \(index + 1)/\(fitting.count): \(way.text)")
            return try outcome(way, in: "\(folder)/\(index)")
        }
        return Figures(updates: updates, outcomes: outcomes)
    }

    /// On the ranks of a world, such as mpirun's, against one simulated rank, which each of them trains alone: none waits long
    /// for another. Collective; every rank gets the same figures but for the seconds.
    ///
    /// - Throws: as `measure(display:)`.
    public func measure(on world: any Communicator, threads: Int, display: ProgressDisplay?) throws -> Figures {
        let own = Self.newFolder(), name = try world.broadcast(varying: Array(Self.newFolder().utf8), root: 0)
        let shared = String(decoding: name, as: UTF8.self)
        defer { for folder in [own, shared] { try? FileManager.default.removeItem(atPath: folder) } }
        let ways = [false, true].map { whether in
            Way(ranks: world.size, isSimulated: false, threads: threads, shardOptimizer: whether, recompute: whether)
        }
        display?.show("way 1/\(ways.count + 1): \(Way().text)")
        var outcomes = [try outcome(Way(), in: own)]
        for (index, way) in ways.enumerated() {
            display?.show("way \(index + 2)/\(ways.count + 1): \(way.text)")
            let folder = "\(shared)/\(index)"
            var loss = 0.0
            let seconds = try Stopwatch.seconds {
                loss = try train(configured(way), on: world, threads: threads, upTo: updates, in: folder)
            }
            try world.barrier()
            outcomes.append(Outcome(way: way, hash: try hash(in: folder), seconds: seconds, loss: loss))
            try world.barrier()
        }
        return Figures(updates: updates, outcomes: outcomes)
    }

    private static func newFolder() -> String {
        FileManager.default.temporaryDirectory.appendingPathComponent("strata-invariance-\(UUID().uuidString)").path
    }

    private func outcome(_ way: Way, in folder: String) throws -> Outcome {
        var loss = 0.0
        let seconds = try Stopwatch.seconds {
            if let resumed = way.resumedOn {
                _ = try train(way, ranks: way.ranks, upTo: updates / 2, in: folder)
                loss = try train(way, ranks: resumed, upTo: updates, in: folder)
            } else {
                loss = try train(way, ranks: way.ranks, upTo: updates, in: folder)
            }
        }
        defer { try? FileManager.default.removeItem(atPath: folder) }
        return Outcome(way: way, hash: try hash(in: folder), seconds: seconds, loss: loss)
    }

    private func configured(_ way: Way) -> RunConfiguration {
        var configuration = configuration
        configuration.parallel.expertParallel = way.expertParallel
        configuration.parallel.shardOptimizer = way.shardOptimizer
        configuration.training.recompute = way.recompute
        return configuration
    }

    /// On simulated ranks: the way's, or those that go on, whose experts are spread as far as they can be.
    private func train(_ way: Way, ranks: Int, upTo last: Int, in folder: String) throws -> Double {
        var way = way
        if ranks != way.ranks { way.expertParallel = nil }
        let configuration = configured(way), threads = way.threads
        return try SimulatedCluster.run(ranks: ranks) {
            try train(configuration, on: $0, threads: threads, upTo: last, in: folder)
        }[0]
    }

    /// Trains from the folder's checkpoint, if there is one, and keeps another. Returns the loss of the last update. Collective.
    private func train(
        _ configuration: RunConfiguration, on world: any Communicator, threads: Int, upTo last: Int, in folder: String
    ) throws -> Double {
        let run = try Self.run(configuration, world, threads: threads), checkpoints = run.checkpoints(in: folder, identity: [:])
        if let reader = try checkpoints.openNewest(report: { _ in }) { try run.resume(from: reader) }
        let training = configuration.training
        let trainer = try run.trainer(
            on: SyntheticSentences(
                groups: training.tokenGroups, tokensPerGroup: training.tokensPerGroup,
                vocabulary: configuration.data.vocabulary,
                seed: training.seed))
        var loss = 0.0
        while trainer.update < last { loss = try trainer.step().metrics.loss }
        try checkpoints.begin(
            step: last, applied: trainer.applied, seed: training.seed, validationLoss: nil, pools: trainer.pools,
            state: run.state, copying: false)
        _ = try checkpoints.complete()?.get()
        return loss
    }

    private static func run(
        _ configuration: RunConfiguration, _ world: any Communicator, threads: Int
    ) throws -> TrainingRun {
        try TrainingRun(
            configuration, vocabulary: configuration.data.vocabulary, world: world, context: ComputeContext(threads: threads))
    }

    /// Of the folder's newest checkpoint, read by one rank.
    private func hash(in folder: String) throws -> String {
        var configuration = configuration
        (configuration.parallel.expertParallel, configuration.parallel.shardOptimizer) = (nil, false)
        let final = configuration
        return try SimulatedCluster.run(ranks: 1) { world in
            let run = try Self.run(final, world, threads: 1)
            guard let reader = try run.checkpoints(in: folder, identity: [:]).openNewest(report: { _ in }) else {
                preconditionFailure("the run has just kept a checkpoint")
            }
            try run.resume(from: reader)
            let checksum = Checksum()
            for placement in ParameterPlacement.allCases {
                let section = run.model.store.section(placement), moments = run.state.moments[placement]
                for location in run.model.store.locations(placement).sorted(by: { $0.slice.name < $1.slice.name }) {
                    for tensor in [section.values, moments.first, moments.second] {
                        checksum.update(UnsafeRawBufferPointer(UnsafeBufferPointer(rebasing: tensor.buffer[location.range])))
                    }
                }
            }
            return checksum.text
        }[0]
    }
}

extension InvarianceBenchmark.Way {
    var text: String {
        "\(ranks) \(isSimulated ? "simulated " : "")rank\(ranks == 1 ? "" : "s") × \(threads) thread\(threads == 1 ? "" : "s")"
            + (resumedOn.map { ", resumed on \($0)" } ?? "")
    }
}

extension InvarianceBenchmark.Figures {
    public var text: String {
        let table = Table(
            header: ["ranks", "expert-parallel", "threads", "optimizer", "activations", "resumed on", "seconds", "hash"],
            rows: outcomes.map { outcome in
                let way = outcome.way
                return [
                    "\(way.ranks)\(way.isSimulated ? "" : ", started")", way.expertParallel.map(String.init) ?? "auto",
                    "\(way.threads)",
                    way.shardOptimizer ? "sharded" : "whole", way.recompute ? "recomputed" : "kept",
                    way.resumedOn.map(String.init) ?? "-", NumberText.decimal(outcome.seconds, 1), outcome.hash,
                ]
            })
        let differing = outcomes.count { $0.hash != outcomes[0].hash || $0.loss != outcomes[0].loss }
        return table.text
            + (areEqual
                ? "after \(updates) updates all \(outcomes.count) ways have the same parameters, moments and loss, to the bit\n"
                : "after \(updates) updates \(differing) of \(outcomes.count) ways differ from the first\n")
    }
}
