import Autograd
import Collectives
import Foundation
import MixtureOfExperts
import Planning
import TensorCore

/// The speeds that a step's time is predicted from (`StepTimeModel`), each for about a fifth of a second and by the kernels that
/// training uses. All ranks measure at once, for at once they are at work in training.
public struct MachineBenchmark: Sendable {
    /// Widths of the model.
    let widths: [Int]
    let precision: GEMM.Precision

    public static let usualWidths = [128, 256, 512]

    /// Hidden width of the experts over the model's, and their number.
    private static let ffnRatio = 4
    private static let experts = 4
    /// Rows of each expert; with more they are as fast as with the last.
    private static let expertRows = [16, 64, 256, 1024]
    /// Rows of products and passes: more than a cache holds, as a model's layers one after another have.
    private static func rows(_ dim: Int) -> Int { max(1024, (1 << 21) / dim) }
    /// Rows and columns of the output projection, and tokens of a sentence.
    private static let lossRows = 1024
    private static let vocabulary = 8192
    private static let sentence = 24
    /// All kernels are measured in turn, so often, each time for so many seconds; the median counts.
    private static let rounds = 5
    private static let least = 0.04
    /// Bytes that a rank sends each peer.
    private static let message = 1 << 20

    public init(widths: [Int], precision: GEMM.Precision) {
        self.widths = widths
        self.precision = precision
    }

    /// Where a rank runs: the host, and the machine that the host is or is a part of.
    public struct Seat: Hashable, Sendable {
        let host: String
        let machine: String

        public init(host: String, machine: String) {
            self.host = host
            self.machine = machine
        }
    }

    /// A collective operation. `seats` are those of all ranks.
    public func measure(_ world: any Communicator, threads: Int, seats: [Seat]) throws -> MachineFigures {
        precondition(seats.count == world.size, "every rank has a seat")
        let context = ComputeContext(threads: threads)
        let machines = Dictionary(grouping: seats, by: \.machine).mapValues(\.count), hosts = seats.map(\.host)
        let ranksPerMachine = machines.values.max() ?? 1, cores = ProcessInfo.processInfo.processorCount
        let team = Team(world: world, sharesCores: ranksPerMachine * context.pool.threads > cores)
        return MachineFigures(
            ranks: world.size, hosts: Set(hosts).count, threads: context.pool.threads, cores: cores,
            ranksPerMachine: ranksPerMachine, compute: precision.rawValue,
            widths: try Set(widths).sorted().map { try measure(team, context, dim: $0) },
            optimizerBytes: try optimizerBytes(team, context),
            withinHost: try messages(world, hosts, areElsewhere: false),
            betweenHosts: try messages(world, hosts, areElsewhere: true))
    }

    /// The ranks that measure together.
    private struct Team {
        let world: any Communicator
        /// Whether they are more than processors.
        let sharesCores: Bool

        /// What counts of the ranks' seconds: the slowest rank's, for the others will wait for it; but where ranks share processors,
        /// and those of one that waits are the others', the mean.
        func together(_ seconds: Double) throws -> Double {
            sharesCores ? try world.allReduce(seconds, .sum) / Double(world.size) : try world.allReduce(seconds, .maximum)
        }
    }

    private func measure(_ team: Team, _ context: ComputeContext, dim: Int) throws -> MachineFigures.Width {
        let experts = experts(context, dim)
        let speeds = try speeds(
            team, [dense(context, dim), loss(context, dim), attention(context, dim), passes(context, dim)] + experts)
        return MachineFigures.Width(
            dim: dim, dense: speeds[0], loss: speeds[1], attention: speeds[2], passes: speeds[3],
            experts: zip(Self.expertRows, speeds[4...]).map { MachineFigures.Experts(rows: $0, speed: $1) })
    }

    /// Something that is done again and again: `amount` operations or bytes each time.
    private struct Kernel {
        let amount: Int
        let run: () -> Void
    }

    /// What the kernels do in a second.
    private func speeds(_ team: Team, _ kernels: [Kernel]) throws -> [Double] {
        for kernel in kernels { kernel.run() }
        var seconds = [[Double]](repeating: [], count: kernels.count)
        for _ in 0..<Self.rounds {
            for (index, kernel) in kernels.enumerated() {
                try team.world.barrier()
                let start = ContinuousClock.now
                var times = 0.0, elapsed = 0.0
                while elapsed < Self.least {
                    kernel.run()
                    times += 1
                    elapsed = (ContinuousClock.now - start) / .seconds(1)
                }
                seconds[index].append(try team.together(elapsed / times))
            }
        }
        return zip(kernels, seconds).map { Double($0.amount) / Stopwatch.median($1) }
    }

    /// Forward and backward of projections d → 3 d and d → d, as attention's.
    private func dense(_ context: ComputeContext, _ dim: Int) -> Kernel {
        let rows = Self.rows(dim), x = context.filled(rows, dim), dx = context.zeros(rows, dim)
        let products = [3 * dim, dim].map {
            (w: context.filled($0, dim), y: context.filled(rows, $0), dw: context.zeros($0, dim))
        }
        return Kernel(amount: 6 * rows * 4 * dim * dim) {
            for (w, y, dw) in products {
                MatrixProduct.forward(context, precision: precision, x: x, w: w, into: y)
                MatrixProduct.backwardInput(context, precision: precision, dy: y, w: w, into: dx)
                MatrixProduct.backwardWeight(context, precision: precision, dy: y, x: x, into: dw)
            }
        }
    }

    private func loss(_ context: ComputeContext, _ dim: Int) -> Kernel {
        let rows = Self.lossRows, x = context.filled(rows, dim), weight = context.filled(Self.vocabulary, dim)
        let dx = context.zeros(rows, dim), dweight = context.zeros(Self.vocabulary, dim)
        let targets = (0..<rows).map { Int32($0 % Self.vocabulary) }
        return Kernel(amount: 6 * rows * dim * Self.vocabulary) {
            _ = OutputLossKernel.run(
                context, precision: precision, x: x, weight: weight, targets: targets, smoothing: 0.1,
                gradient: OutputLossKernel.Gradient(scale: 1e-3, dx: dx, dweight: dweight))
        }
    }

    /// Of heads of 64 columns, or one.
    private func attention(_ context: ComputeContext, _ dim: Int) -> Kernel {
        let sentences = Self.rows(dim) / Self.sentence, rows = sentences * Self.sentence, heads = max(1, dim / 64)
        let segments = Segments(lengths: [Int](repeating: Self.sentence, count: sentences)), width = dim / heads * heads
        let kernel = AttentionKernel(
            heads: heads, headDim: dim / heads, causal: false, querySegments: segments, keySegments: segments,
            mask: DropoutMask(probability: 0.1, key: RandomKey(seed: 1)))
        let projected = context.filled(rows, 3 * width), gradient = context.zeros(rows, 3 * width)
        let output = context.filled(rows, width), probabilities = context.zeros(1, kernel.probabilityCount)
        func columns(_ tensor: Tensor) -> [AttentionKernel.Columns] { (0..<3).map { .init(tensor, from: $0 * width) } }
        return Kernel(amount: 12 * rows * Self.sentence * width) {
            let (own, back) = (columns(projected), columns(gradient))
            kernel.forward(
                context, queries: own[0], keys: own[1], values: own[2], probabilities: probabilities, into: output)
            kernel.backward(
                context, doutput: output, queries: own[0], keys: own[1], values: own[2], probabilities: probabilities,
                dqueries: back[0], dkeys: back[1], dvalues: back[2])
        }
    }

    /// LayerNorm forward and backward, residual and dropout.
    private func passes(_ context: ComputeContext, _ dim: Int) -> Kernel {
        let rows = Self.rows(dim), x = context.filled(rows, dim), y = context.zeros(rows, dim),
            statistics = context.zeros(rows, 2)
        let gain = context.filled(1, dim), bias = context.filled(1, dim), dx = context.zeros(rows, dim)
        let mask = DropoutMask(probability: 0.1, key: RandomKey(seed: 1))
        let floats = 2 + 3 + 2 + 3
        return Kernel(amount: 4 * floats * rows * dim) {
            LayerNormKernel.forward(context, x: x, gain: gain, bias: bias, into: y, statistics: statistics)
            Elementwise.residualDropout(context, residual: x, y: y, bias: bias, mask: mask, into: y)
            Elementwise.dropout(context, y, mask: mask, into: y)
            LayerNormKernel.backward(
                context, dy: y, x: x, statistics: statistics, gain: gain, into: dx, accumulate: false, dgain: gain, dbias: bias)
        }
    }

    private func experts(_ context: ComputeContext, _ dim: Int) -> [Kernel] {
        let store = ParameterStore(), width = Self.ffnRatio * dim
        let group = GroupedExperts(
            (0..<Self.experts).map {
                FeedForwardExpert(name: "bench.experts.\($0)", dim: dim, ffnDim: width, store: store)
            }, dim: dim)
        store.materialize(context, seed: 1)
        return Self.expertRows.map { rows in
            let total = Self.experts * rows, counts = [Int](repeating: rows, count: Self.experts)
            let x = context.filled(total, dim), dy = context.filled(total, dim)
            return Kernel(amount: 12 * total * dim * width) {
                let activations = group.forward(context, rows: x, expertRows: counts)
                _ = group.backward(context, doutputs: dy, rows: x, hidden: activations.hidden, expertRows: counts)
            }
        }
    }

    private func optimizerBytes(_ team: Team, _ context: ComputeContext) throws -> Double {
        let count = 1 << 22, tensors = (0..<4).map { _ in context.filled(1, count) }
        let step = AdamKernel.Step(update: 1, learningRate: 1e-9, beta1: 0.9, beta2: 0.98, epsilon: 1e-9)
        let kernel = Kernel(amount: 8 * 4 * count) {
            AdamKernel.update(
                context, step, values: tensors[0].buffer, gradients: tensors[1].buffer, firstMoments: tensors[2].buffer,
                secondMoments: tensors[3].buffer)
        }
        return try speeds(team, [kernel])[0]
    }

    /// All ranks send all their peers on the own host, or on others; nil where nobody has any.
    private func messages(
        _ world: any Communicator, _ hosts: [String], areElsewhere: Bool
    ) throws -> MachineFigures.Messages? {
        let peers = hosts.indices.map { rank in
            hosts.indices.filter { $0 != rank && (hosts[$0] != hosts[rank]) == areElsewhere }
        }
        guard peers.contains(where: { !$0.isEmpty }) else { return nil }
        let most = peers.reduce(0) { max($0, $1.count) }
        func seconds(_ bytes: Int) throws -> Double {
            let width = bytes / 4, own = peers[world.rank]
            let sent = [Float](repeating: 1, count: max(1, own.count) * width)
            var received = sent
            let runs = own.enumerated().map { RowRun(peer: $1, row: $0, count: 1) }
            return try received.withUnsafeMutableBufferPointer { received in
                try sent.withUnsafeBufferPointer { sent in
                    try time(world) {
                        try world.allToAll(rowWidth: width, sent, sentRuns: runs, into: received, receivedRuns: runs)
                    }
                }
            }
        }
        let small = try seconds(64), large = try seconds(Self.message)
        // Within a host a rank's own, between hosts all that its ranks send together.
        let ranks = areElsewhere ? Dictionary(grouping: hosts.indices, by: { hosts[$0] }).values.map(\.count).max() ?? 1 : 1
        return MachineFigures.Messages(
            latency: small / Double(most), bytes: Double(ranks * most * Self.message) / max(large - small, 1e-9))
    }

    /// The seconds of `body`, which every rank does as often as the others; the mean of all.
    private func time(_ world: any Communicator, _ body: () throws -> Void) throws -> Double {
        try body()
        let once = try world.allReduce(Stopwatch.seconds(body), .maximum)
        let times = max(4, min(1000, Int(0.1 / max(once, 1e-6))))
        try world.barrier()
        let elapsed = try Stopwatch.seconds { for _ in 0..<times { try body() } }
        return try world.allReduce(elapsed, .sum) / Double(world.size * times)
    }
}

extension ComputeContext {
    /// Numbers that are neither all alike nor large.
    fileprivate func filled(_ rows: Int, _ columns: Int) -> Tensor {
        let tensor = zeros(rows, columns)
        for index in 0..<tensor.count { tensor.pointer[index] = Float(index % 17) * 0.01 - 0.08 }
        return tensor
    }
}
