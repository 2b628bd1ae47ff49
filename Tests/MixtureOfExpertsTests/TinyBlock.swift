import Autograd
import Collectives
import MixtureOfExperts
import NeuralLayers
import TensorCore
import _TestSupport

/// A small stratified block with all its parameters away from their initial values.
struct TinyBlock {
    let configuration: MixtureConfiguration
    let context: ComputeContext
    let store = ParameterStore()
    let block: StratifiedBlock
    let dispatcher: AllToAllTokenDispatcher
    static let dim = 8

    /// `group` is the expert-parallel group's.
    init(
        _ configuration: MixtureConfiguration, group: any Communicator, dropout: Float = 0, ffnDim: Int = 6, threads: Int = 1
    ) throws {
        self.configuration = configuration
        context = ComputeContext(threads: threads)
        dispatcher = AllToAllTokenDispatcher(
            communicator: group, placement: ExpertPlacement(strata: configuration.strata, places: group.size))
        block = StratifiedBlock(
            name: "block", configuration: configuration, dim: Self.dim, ffnDim: ffnDim, dropout: dropout,
            dispatcher: dispatcher, store: store)
        store.materialize(context, seed: 11)
        try store.perturb(seed: 12)
        for gate in block.gates {
            for index in 0..<gate.count { gate.value.pointer[index] *= 3 }
        }
    }

    /// Every hidden unit well on or well off, whatever the input: the block is smooth.
    func avoidKinks(by bias: Float = 12) {
        for expert in block.experts.experts + block.sharedExperts + [block.conditional?.shared].compactMap(\.self) {
            for unit in 0..<expert.bias1.count { expert.bias1.value.pointer[unit] = unit % 3 == 0 ? -bias : bias }
        }
    }

    /// Makes gate `stratum` prefer a visible expert for every token.
    func force(gate stratum: Int, to expert: Int) {
        block.norms[stratum].bias.value.pointer[0] = 20
        let gate = block.gates[stratum].value
        for row in 0..<gate.rows { gate[row, 0] = row == expert ? 4 : 0 }
    }

    func tokens(_ count: Int, seed: UInt64) -> Tensor {
        context.tensor(normalValues(count * Self.dim, seed: seed), rows: count, columns: Self.dim)
    }

    func forward(_ x: Tensor, training: Bool = true, key: RandomKey = RandomKey(seed: 5)) throws -> StratifiedBlock.Outcome {
        try block(
            Variable(x), ForwardPass(tape: Tape(context, recording: false), isTraining: training, key: key), lossScale: 0)
    }

    struct Result: Sendable {
        var output: [Float] = []
        var dx: [Float] = []
        var loss: Float = 0
        var visits: [UInt8] = []
        var statistics: RoutingStatistics
    }

    /// Forward and backward; gradients of parameters are added to.
    func train(_ x: Tensor, doutput: Tensor, lossScale: Float, key: RandomKey = RandomKey(seed: 5)) throws -> Result {
        let tape = Tape(context, recording: true), input = Variable(x)
        let dx = context.zeros(x.rows, x.columns)
        input.receive(dx, context)
        let outcome = try block(input, ForwardPass(tape: tape, isTraining: true, key: key), lossScale: lossScale)
        outcome.output.receive(context.copy(doutput), context)
        let output = outcome.output.value.elements
        try tape.backward()
        return Result(
            output: output, dx: dx.elements, loss: outcome.loadBalancingLoss, visits: outcome.visits,
            statistics: outcome.statistics)
    }
}

/// Runs `body` as a cluster of one.
func alone<Result: Sendable>(_ body: @Sendable (any Communicator) throws -> Result) throws -> Result {
    try SimulatedCluster.run(ranks: 1, body)[0]
}
