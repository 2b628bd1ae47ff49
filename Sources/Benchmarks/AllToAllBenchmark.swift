import Collectives
import MixtureMethods
import MixtureOfExperts
import Reporting
import TensorCore

/// The dispatcher against a bare all-to-all of the same counts.
public struct AllToAllBenchmark {
    /// Width of a row.
    let dim: Int
    /// Repetitions, of which the median counts.
    let repetitions: Int
    /// What the dispatcher's rows are rounded to; the bare exchange is of floats.
    let wire: WireFormat

    public init(dim: Int, repetitions: Int, wire: WireFormat = .float32) {
        self.dim = dim
        self.repetitions = repetitions
        self.wire = wire
    }

    public struct Figures: Encodable {
        let mebibytes: Double
        let dispatcherMilliseconds: Double
        let bareMilliseconds: Double
        let ratio: Double

        enum CodingKeys: String, CodingKey {
            case ratio
            case mebibytes = "mebibytes_a_rank"
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
            header: ["MiB per rank", "dispatcher ms", "bare ms", "ratio"],
            rows: figures.map {
                [
                    NumberText.decimal($0.mebibytes, 2), NumberText.decimal($0.dispatcherMilliseconds, 3),
                    NumberText.decimal($0.bareMilliseconds, 3), NumberText.decimal($0.ratio, 2),
                ]
            }
        ).text
    }

    /// Top-1 routing of `bytes` of rows per rank, evenly to two experts per rank.
    private func measure(_ bytes: Int, _ world: any Communicator) throws -> Figures {
        let context = ComputeContext(threads: 1), rows = max(1, bytes / (dim * 4)), places = world.size
        let placement = ExpertPlacement(strata: [2 * places], places: places)
        let dispatcher = AllToAllTokenDispatcher(communicator: world, placement: placement, wire: wire)
        let logits = context.zeros(rows, placement.experts)
        for row in 0..<rows { logits[row, row % placement.experts] = 4 }
        var mixture = MixtureConfiguration(strata: placement.strata)
        (mixture.topK, mixture.capacityFactor) = (1, nil)
        let router = StratifiedRouter(GateSite(name: "bench", configuration: mixture, stratum: 0, dim: dim))
        let decision = router.route(
            context, logits: logits, rows: (0..<rows).map { Int32($0) }, key: RandomKey(seed: 1), isTraining: true)
        let x = context.zeros(rows, dim)
        let plan = try dispatcher.plan(context, decision)
        let received = context.zeros(plan.rowsReceived, dim), returned = context.zeros(rows, dim)
        var dispatcherTimes: [Double] = [], bareTimes: [Double] = []
        for _ in 0...repetitions {
            try world.barrier()
            dispatcherTimes.append(
                try Stopwatch.seconds {
                    let plan = try dispatcher.plan(context, decision)
                    let there = try dispatcher.toExperts(context, x, plan).complete()
                    _ = try dispatcher.toTokens(context, there, plan).complete()
                })
            try world.barrier()
            bareTimes.append(
                try Stopwatch.seconds {
                    try world.allToAll(
                        rowWidth: dim, UnsafeBufferPointer(x.buffer), sentRows: plan.sentRows, into: received.buffer,
                        receivedRows: plan.receivedRows)
                    try world.allToAll(
                        rowWidth: dim, UnsafeBufferPointer(received.buffer), sentRows: plan.receivedRows, into: returned.buffer,
                        receivedRows: plan.sentRows)
                })
        }
        let own = Stopwatch.median(Array(dispatcherTimes.dropFirst())), bare = Stopwatch.median(Array(bareTimes.dropFirst()))
        return Figures(
            mebibytes: Double(rows * dim * 4) / 1_048_576, dispatcherMilliseconds: own * 1e3, bareMilliseconds: bare * 1e3,
            ratio: own / bare)
    }
}
