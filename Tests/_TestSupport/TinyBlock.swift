import Autograd
import Collectives
import MixtureOfExperts
import NeuralLayers
import TensorCore

/// A small stratified block with all its parameters away from their initial values.
public struct TinyBlock {
    public let configuration: MixtureConfiguration
    public let context: ComputeContext
    public let store = ParameterStore()
    public let block: StratifiedBlock
    public static let dim = 8

    /// `group` is the expert-parallel group's.
    public init(
        _ configuration: MixtureConfiguration, group: any Communicator, dropout: Float = 0, ffnDim: Int = 6, threads: Int = 1
    ) throws {
        self.configuration = configuration
        context = ComputeContext(threads: threads)
        let dispatcher = makeTokenDispatcher(
            communicator: group, strata: configuration.strata, widths: configuration.expertWidths)
        block = StratifiedBlock(
            name: "block", configuration: configuration, dim: Self.dim, ffnDim: ffnDim, dropout: dropout,
            dispatcher: dispatcher, store: store)
        store.materialize(context, seed: 11, sources: { $0 == .expert ? group.size : 1 })
        try store.perturb(seed: 12)
        for gate in block.gates {
            for index in 0..<gate.count { gate.value.pointer[index] *= 3 }
        }
    }

    /// Every hidden unit of every network well on or well off, whatever the input: the block is smooth.
    public func avoidKinks() throws {
        try store.forEachSlice { name, _, values, _ in
            guard name.hasSuffix("fc1.bias") else { return }
            for unit in values.indices { values[unit] = unit % 3 == 0 ? -6 : 6 }
        }
    }

    /// Sets every element of the parameters whose names end so.
    public func fill(_ suffix: String, _ value: Float) throws {
        try store.forEachSlice { name, _, values, _ in if name.hasSuffix(suffix) { values.update(repeating: value) } }
    }

    /// Makes gate `stratum` prefer a visible expert for every token.
    public func force(gate stratum: Int, to expert: Int) {
        block.norms[stratum].bias.value.pointer[0] = 20
        let gate = block.gates[stratum].value
        for row in 0..<gate.rows { gate[row, 0] = row == expert ? 4 : 0 }
    }

    public func tokens(_ count: Int, seed: UInt64) -> Tensor {
        context.tensor(normalValues(count * Self.dim, seed: seed), rows: count, columns: Self.dim)
    }

    /// What the block made of some tokens, and what it reports of that, the decisions included.
    public struct Outcome {
        public let output: Variable
        public let report: BlockReport
        /// By row that the strata see: the gates that it passed.
        public let visits: [Int]

        public var decisions: [RoutingDecision] { report.decisions }
        public var statistics: RoutingStatistics { report.statistics }
        /// The value of a figure; nil where there is none of that name.
        public subscript(_ figure: String) -> Float? { report.figures.first { $0.name == figure }?.value }
        public var elements: [Float] { output.value.elements }
        public func row(_ token: Int) -> [Float] { output.value.rows(token..<token + 1).elements }
    }

    public func forward(_ x: Tensor, training: Bool = true, key: RandomKey = RandomKey(seed: 5)) throws -> Outcome {
        try run(Variable(x), Tape(context, recording: false), isTraining: training, key: key, lossScale: 0)
    }

    private func run(
        _ x: Variable, _ tape: Tape, isTraining: Bool, key: RandomKey, lossScale: Float
    ) throws -> Outcome {
        // Tests change values as they like.
        store.refresh()
        let reports = PassReports()
        var pass = ForwardPass(tape: tape, isTraining: isTraining, key: key, reporting: reports)
        (pass.auxiliaryScale, pass.keepsDecisions) = (lossScale, true)
        let output = try block(x, pass), all = reports.all(of: BlockReport.self)
        guard all.count == 1 else { throw Disagreement("a block must report once, but reported \(all.count) times") }
        return Outcome(output: output, report: all[0], visits: all[0].visits(rows: x.rows * configuration.rowsPerToken))
    }

    public struct Result: Sendable {
        public let output: [Float]
        public let dx: [Float]
        public let figures: [BlockFigure]
        public let visits: [Int]
        public let statistics: RoutingStatistics

        /// The value of a figure; nil where there is none of that name.
        public subscript(_ figure: String) -> Float? { figures.first { $0.name == figure }?.value }
    }

    /// Forward and backward; gradients of parameters are added to. `lossScale` is what losses, each times its weight, are
    /// multiplied by.
    public func train(_ x: Tensor, doutput: Tensor, lossScale: Float, key: RandomKey = RandomKey(seed: 5)) throws -> Result {
        let tape = Tape(context, recording: true), input = Variable(x)
        let dx = context.zeros(x.rows, x.columns)
        // The target is made before backward, and added to.
        input.receive(dx, context)
        let outcome = try run(input, tape, isTraining: true, key: key, lossScale: lossScale)
        outcome.output.receive(context.copy(doutput), context)
        let output = outcome.elements
        try tape.backward()
        return Result(
            output: output, dx: dx.elements, figures: outcome.report.figures, visits: outcome.visits,
            statistics: outcome.statistics)
    }
}

extension BlockReport {
    /// By row that the strata see, the gates that it passed, as kept decisions say; no gates at all where the block left the group
    /// out.
    public func visits(rows: Int) -> [Int] {
        var visits = [Int](repeating: 0, count: rows)
        guard let first = decisions.first, first.tokens == rows else { return visits }
        if first.gate.configuration.strataOrder == .stacked { return visits.map { _ in decisions.count } }
        var progress = StratumProgress(first.gate.configuration, tokens: rows)
        for (stratum, decision) in decisions.enumerated() {
            let here = progress.tokens(at: stratum)
            for token in here { visits[Int(token)] += 1 }
            progress.advance(here, by: decision)
        }
        return visits
    }
}

/// Runs `body` as a cluster of one.
public func alone<Result: Sendable>(_ body: @Sendable (any Communicator) throws -> Result) throws -> Result {
    try SimulatedCluster.run(ranks: 1, body)[0]
}
