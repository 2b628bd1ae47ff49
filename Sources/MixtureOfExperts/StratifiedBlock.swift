import Autograd
import Collectives
import NeuralLayers
import TensorCore

/// A stratified mixture of experts with its LayerNorms and residuals (Docs/Method.md, "The block in words"). With one stratum
/// it is a plain mixture. Parameters `<name>.norms.{s}.*`, `<name>.gates.{s}.{weight,selection_bias}`, `<name>.experts.{e}.*`,
/// `<name>.shared_experts.{j}.*`.
///
/// Stacked, the strata are plain mixtures one after another: h_0 = LayerNorm(x), h_s = mixture s of h_{s−1}, and x + h_L is the
/// result; every token passes all of them, and there is one LayerNorm.
///
/// Every rank of the expert-parallel group enters every stratum, in forward and in backward, whether it has tokens or not.
public struct StratifiedBlock {
    public let configuration: MixtureConfiguration
    public let norms: [LayerNorm]
    /// W_i, [V_i, d].
    public let gates: [Parameter]
    public let experts: GroupedExperts
    /// By stratum: what is added to the probabilities of the experts that its gate sees where tokens choose, [V_s]; empty
    /// without balancing by bias. They have no gradient: `balance` moves them.
    public let selectionBiases: [Parameter]
    /// Networks that every token takes ("DeepSeekMoE", arXiv 2401.06066).
    public let sharedExperts: [FeedForward]
    /// The shared network that a gate mixes in, if routing is conditional.
    public let conditional: ConditionalMixture?
    let dispatcher: AllToAllTokenDispatcher
    let dropout: Float

    public init(
        name: String, configuration: MixtureConfiguration, dim: Int, ffnDim: Int, dropout: Float,
        dispatcher: AllToAllTokenDispatcher, store: ParameterStore
    ) {
        let placement = dispatcher.placement
        precondition(placement.strata == configuration.strata)
        self.configuration = configuration
        self.dispatcher = dispatcher
        self.dropout = dropout
        norms = (0..<(configuration.stacked ? 1 : configuration.strata.count)).map {
            LayerNorm(name: "\(name).norms.\($0)", dim: dim, store: store)
        }
        gates = configuration.strata.indices.map {
            store.add(
                Parameter(
                    weights: ["\(name).gates.\($0).weight"], outputsEach: configuration.visibleExperts(atStratum: $0).count,
                    inputs: dim, initializer: .uniform(bound: 1 / Float(dim).squareRoot())))
        }
        experts = GroupedExperts(
            name: name, ids: placement.expertsOfPlace[dispatcher.place], dim: dim, ffnDim: ffnDim, store: store)
        selectionBiases =
            configuration.biasBalancingRate == 0
            ? []
            : configuration.strata.indices.map {
                store.add(
                    Parameter(
                        vectors: ["\(name).gates.\($0).selection_bias"],
                        countEach: configuration.visibleExperts(atStratum: $0).count, initializer: .constant(0)))
            }
        sharedExperts = (0..<configuration.sharedExperts).map {
            FeedForward(name: "\(name).shared_experts.\($0)", dim: dim, ffnDim: ffnDim, store: store)
        }
        conditional = configuration.conditionalRouting.map {
            ConditionalMixture(name: name, configuration: $0, dim: dim, ffnDim: ffnDim, dropout: dropout, store: store)
        }
    }

    /// Those of the mixture that this rank holds, whichever strata tokens reach.
    private var parameters: [Parameter] {
        norms.flatMap { [$0.gain, $0.bias] } + gates
            + experts.experts.flatMap { [$0.weight1, $0.bias1, $0.weight2, $0.bias2] }
    }

    /// What a block did with one token group.
    public struct Outcome {
        public internal(set) var output: Variable
        /// The mean of the gates' load-balancing losses.
        public let loadBalancingLoss: Float
        /// The budget loss of conditional routing; 0 without.
        public internal(set) var budgetLoss: Float = 0
        /// The mean of conditional routing's gates as they were applied; 0 without.
        public internal(set) var conditionalGateMean: Float = 0
        /// The mean of the gates' router z-losses.
        public let zLoss: Float
        /// Strata that each token passed: its requested capacity.
        public let visits: [UInt8]
        public let decisions: [RoutingDecision]
        public let statistics: RoutingStatistics
    }

    /// x [T, d] → x + the block's contribution, [T, d]. `lossScale` is what the block's auxiliary losses, each times its
    /// weight, are multiplied by in the loss that backward differentiates.
    public func callAsFunction(_ x: Variable, _ pass: ForwardPass, lossScale: Float) throws -> Outcome {
        var outcome = try mixture(x, pass, lossScale: lossScale)
        guard conditional != nil || !sharedExperts.isEmpty else { return outcome }
        let h = norms[0](x, pass)
        for (index, network) in sharedExperts.enumerated() {
            // Numbered after the strata, which have numbers of their own.
            let mask = pass.within(configuration.strata.count + index).dropout(dropout, purpose: .sharedExpert)
            outcome.output = network(h, addedTo: outcome.output, pass, mask: mask)
        }
        if let conditional {
            (outcome.output, outcome.budgetLoss, outcome.conditionalGateMean) = conditional(
                x, h: h, mixture: outcome.output, pass, lossScale: lossScale)
        }
        return outcome
    }

    /// x [T, d] → x + the experts' contributions, [T, d].
    private func mixture(_ x: Variable, _ pass: ForwardPass, lossScale: Float) throws -> Outcome {
        let context = pass.context, strata = configuration.strata
        let router = StratifiedRouter(configuration, isTraining: pass.isTraining)
        let output = context.copy(x.value)
        var passages: [Passage] = [], decisions: [RoutingDecision] = []
        var visits = [UInt8](repeating: 0, count: x.rows)
        var progress = StratumProgress(configuration, tokens: x.rows, startingAt: isLeftOut(pass) ? strata.count : 0)
        var statistics = RoutingStatistics(strata: strata)
        var loss: Float = 0, zLoss: Float = 0, source = x.value
        for stratum in strata.indices {
            let rows = progress.tokens(at: stratum)
            // Rows that the stratum adds to are copied; backward needs them as they were.
            let isWhole = (stratum == 0 || configuration.stacked) && rows.count == source.rows
            let input = isWhole ? source : Self.gather(context, source, rows)
            // Of stacked mixtures only the last adds to x; the others hand on what they make.
            let isHandedOn = configuration.stacked && stratum < strata.count - 1
            let target = isHandedOn ? context.zeros(x.rows, x.columns) : output
            let passage = try enter(stratum, rows: rows, input: input, addingTo: target, router: router, pass)
            source = target
            for row in rows { visits[Int(row)] += 1 }
            progress.advance(rows, by: passage.decision)
            statistics.add(passage.decision, stratum: stratum)
            loss += passage.decision.loadBalancingLoss
            zLoss += passage.decision.zLoss
            decisions.append(passage.decision)
            if pass.tape.isRecording { passages.append(passage) }
        }
        let gateScale = lossScale / Float(strata.count)
        let result = pass.tape.record(output, parameters: parameters) { dx in
            var dtarget = dx
            for stratum in strata.indices.reversed() {
                let passage = passages.removeLast()
                let dinput = try leave(stratum, passage, router: router, dx: dtarget, lossScale: gateScale, context)
                if configuration.stacked, stratum > 0 {
                    dtarget = dinput
                } else {
                    RowKernels.scatterAdd(context, dinput, passage.rows, to: dx)
                }
            }
            x.receive(dx, context)
        }
        return Outcome(
            output: result, loadBalancingLoss: loss / Float(strata.count), zLoss: zLoss / Float(strata.count), visits: visits,
            decisions: decisions, statistics: statistics)
    }

    /// Whether this token group passes the block without its gates and experts ("Gating Dropout", arXiv 2205.14336, the variant
    /// that drops gate and expert): drawn for the whole group, so that the number of ranks does not matter.
    private func isLeftOut(_ pass: ForwardPass) -> Bool {
        guard pass.isTraining, configuration.gatingDropout > 0 else { return false }
        return pass.key.derived(RandomPurpose.gatingDropout.rawValue).uniform(0) < configuration.gatingDropout
    }

    /// Moves the selection bias of each expert against what tokens chose in the last update, by the configured rate: up where
    /// it was chosen less often than the mean of the experts that the gate sees, down where more often (arXiv 2408.15664).
    /// `chosen` is the world's, as `RoutingStatistics.chosen`, so that the biases are the same on every rank.
    ///
    /// Choices that exceeded a capacity count: without them a crowded expert would hide how crowded it is, and one below the
    /// mean could be pushed down further.
    public func balance(chosen: [[Int]]) {
        for (stratum, bias) in selectionBiases.enumerated() {
            let visible = configuration.visibleExperts(atStratum: stratum), total = chosen[stratum][visible].reduce(0, +)
            for (index, expert) in visible.enumerated() {
                let excess = chosen[stratum][expert] * visible.count - total
                bias.value[0, index] -= Float(excess.signum()) * configuration.biasBalancingRate
            }
        }
    }
}
