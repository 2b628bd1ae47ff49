import Collectives
import MixtureMethods
import MixtureOfExperts
import Reporting
import TensorCore

/// The dispatcher against a bare all-to-all of floats that sends each choice's row: to the experts and back, in forward and backward.
public struct AllToAllBenchmark {
    /// Width of a row.
    let dim: Int
    /// Experts that a token chooses.
    let topK: Int
    let expertsPerRank: Int
    /// Repetitions, of which the median counts.
    let repetitions: Int
    /// What the dispatcher's rows are rounded to; the bare exchange is of floats.
    let wire: WireFormat
    /// The ranks' hosts, where rows are passed on within them; nil: they are not.
    let hosts: PlaceHosts?

    public init(
        dim: Int, topK: Int = 1, expertsPerRank: Int = 2, repetitions: Int, wire: WireFormat = .float32,
        passingOnWithin hosts: PlaceHosts? = nil
    ) {
        self.dim = dim
        self.topK = topK
        self.expertsPerRank = expertsPerRank
        self.repetitions = repetitions
        self.wire = wire
        self.hosts = hosts
    }

    public struct Figures: Encodable {
        /// Rows of a rank's choices, those that stay included.
        let mebibytes: Double
        /// What a rank sends, the mean over ranks.
        let dispatcherMebibytes: Double
        let bareMebibytes: Double
        let dispatcherMilliseconds: Double
        let bareMilliseconds: Double
        let ratio: Double

        enum CodingKeys: String, CodingKey {
            case ratio
            case mebibytes = "mebibytes_a_rank"
            case dispatcherMebibytes = "dispatcher_sent_mebibytes"
            case bareMebibytes = "bare_sent_mebibytes"
            case dispatcherMilliseconds = "dispatcher_ms"
            case bareMilliseconds = "bare_ms"
        }
    }

    /// Figures for each number of bytes per rank; a collective operation.
    public func measure(_ world: any Communicator) throws -> [Figures] {
        try [1 << 18, 1 << 20, 1 << 22, 1 << 24].map { try measure($0, world) }
    }

    public static func text(_ figures: [Figures]) -> String {
        Table(
            header: ["MiB per rank", "dispatcher sends", "bare sends", "dispatcher ms", "bare ms", "ratio"],
            rows: figures.map {
                [
                    NumberText.decimal($0.mebibytes, 2), NumberText.decimal($0.dispatcherMebibytes, 2),
                    NumberText.decimal($0.bareMebibytes, 2), NumberText.decimal($0.dispatcherMilliseconds, 3),
                    NumberText.decimal($0.bareMilliseconds, 3), NumberText.decimal($0.ratio, 2),
                ]
            }
        ).text
    }

    /// `bytes` of rows of choices per rank: a single choice evenly spread, several drawn.
    private func measure(_ bytes: Int, _ world: any Communicator) throws -> Figures {
        let context = ComputeContext(threads: 1), tokens = max(1, bytes / (dim * 4 * topK)), places = world.size
        let placement = ExpertPlacement(strata: [expertsPerRank * places], places: places)
        let dispatcher = AllToAllTokenDispatcher(communicator: world, placement: placement, wire: wire, passingOnWithin: hosts)
        let logits = context.zeros(tokens, placement.experts)
        let draws = RandomKey(seed: 2).derived(world.rank)
        for token in 0..<tokens {
            guard topK > 1 else {
                logits[token, token % placement.experts] = 4
                continue
            }
            for expert in 0..<placement.experts { logits[token, expert] = draws.normal(token * placement.experts + expert) }
        }
        var mixture = MixtureConfiguration(strata: placement.strata)
        (mixture.topK, mixture.capacityFactor) = (topK, nil)
        let router = StratifiedRouter(GateSite(name: "bench", configuration: mixture, stratum: 0, dim: dim))
        let all = (0..<tokens).map { Int32($0) }
        let decision = router.route(context, logits: logits, rows: all, key: draws, isTraining: true)
        let x = context.zeros(tokens, dim), plan = try dispatcher.plan(context, decision)
        let sum = RowKernels.WeightedSum(
            slots: plan.slots, weights: decision.weights, offsets: decision.offsets, tokens: all, experts: decision.experts,
            expertCount: placement.experts, mask: .none)
        let choices = context.zeros(plan.rowsSent, dim)
        let received = context.zeros(plan.rowsReceived, dim), returned = context.zeros(plan.rowsSent, dim)
        let rows = context.uninitialized(plan.tokens.count, dim)
        RowKernels.gather(context, x, plan.tokens, into: rows)
        let (gradients, _) = plan.outputGradients(context, sum, dx: x, outputs: choices)
        var dispatcherTimes: [Double] = [], bareTimes: [Double] = []
        let before = dispatcher.bytesSent
        for _ in 0...repetitions {
            try world.barrier()
            dispatcherTimes.append(
                try Stopwatch.seconds {
                    let plan = try dispatcher.plan(context, decision)
                    let there = try dispatcher.toExperts(context, rows, plan).complete()
                    _ = try dispatcher.toTokens(context, there, plan).complete()
                    let back = try dispatcher.gradientsToExperts(context, gradients, plan, weighted: sum).complete()
                    _ = try dispatcher.gradientsToTokens(context, back, plan).complete()
                })
            try world.barrier()
            bareTimes.append(
                try Stopwatch.seconds {
                    for _ in 0..<2 {
                        try world.allToAll(
                            rowWidth: dim, UnsafeBufferPointer(choices.buffer), sentRows: plan.sentRows, into: received.buffer,
                            receivedRows: plan.receivedRows)
                        try world.allToAll(
                            rowWidth: dim, UnsafeBufferPointer(received.buffer), sentRows: plan.receivedRows,
                            into: returned.buffer, receivedRows: plan.sentRows)
                    }
                })
        }
        func mean(_ bytes: Int) throws -> Double { Double(try world.allReduce(bytes, .sum)) / Double(places) / 1_048_576 }
        let own = Stopwatch.median(Array(dispatcherTimes.dropFirst())), bare = Stopwatch.median(Array(bareTimes.dropFirst()))
        return Figures(
            mebibytes: Double(plan.rowsSent * dim * 4) / 1_048_576,
            dispatcherMebibytes: try mean((dispatcher.bytesSent - before) / (repetitions + 1)),
            bareMebibytes: try mean(4 * (plan.rowsSent - plan.sentRows[world.rank]) * dim * 4),
            dispatcherMilliseconds: own * 1e3, bareMilliseconds: bare * 1e3, ratio: own / bare)
    }
}
