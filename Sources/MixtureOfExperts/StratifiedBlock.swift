import Autograd
import Collectives
import NeuralLayers
import TensorCore

/// A stratified mixture of experts with its LayerNorms and residuals (SMOE.md, "The block"). With one stratum it is a plain
/// mixture. Parameters `<name>.norms.{s}.*`, `<name>.gates.{s}.weight`, `<name>.experts.{e}.*`.
///
/// Every rank of the expert-parallel group enters every stratum, in forward and in backward, whether it has tokens or not.
public struct StratifiedBlock {
    public let configuration: MixtureConfiguration
    public let norms: [LayerNorm]
    /// W_i, [V_i, d].
    public let gates: [Parameter]
    public let experts: GroupedExperts
    private let dispatcher: AllToAllTokenDispatcher
    private let dropout: Float

    public init(
        name: String, configuration: MixtureConfiguration, dim: Int, ffnDim: Int, dropout: Float,
        dispatcher: AllToAllTokenDispatcher, store: ParameterStore
    ) {
        let placement = dispatcher.placement
        precondition(placement.strata == configuration.strata)
        self.configuration = configuration
        self.dispatcher = dispatcher
        self.dropout = dropout
        norms = configuration.strata.indices.map { LayerNorm(name: "\(name).norms.\($0)", dim: dim, store: store) }
        gates = configuration.strata.indices.map {
            store.add(Parameter(
                weights: ["\(name).gates.\($0).weight"], outputsEach: placement.visible(fromStratum: $0), inputs: dim,
                initializer: .uniform(bound: 1 / Float(dim).squareRoot())))
        }
        experts = GroupedExperts(
            name: name, ids: placement.expertsOfPlace[dispatcher.place], dim: dim, ffnDim: ffnDim, store: store)
    }

    /// All that this rank holds, whichever strata tokens reach.
    private var parameters: [Parameter] {
        norms.flatMap { [$0.gain, $0.bias] } + gates
            + experts.experts.flatMap { [$0.weight1, $0.bias1, $0.weight2, $0.bias2] }
    }

    /// What a block did with one token group.
    public struct Outcome {
        public let output: Variable
        /// The mean of the gates' load-balancing losses.
        public let loadBalancingLoss: Float
        /// Strata that each token passed: its requested capacity.
        public let visits: [UInt8]
        public let decisions: [RoutingDecision]
        public let statistics: RoutingStatistics
    }

    /// What one stratum keeps for its backward. The normalised rows are computed again from their input.
    private struct Passage {
        let rows: [Int32]
        let input: Tensor
        let statistics: Tensor
        let decision: RoutingDecision
        let plan: DispatchPlan
        let mixture: RowKernels.Mixture
        /// The rows that the experts saw; nil where they are this rank's own, to be gathered again.
        let arrived: Tensor?
        /// nil where it is to be computed again; the routing is always this one.
        let hidden: Tensor?
        /// Expert outputs in the plan's order.
        let outputs: Tensor
    }

    /// x [T, d] → x + the experts' contributions, [T, d]. `lossScale` is what the block's load-balancing loss is multiplied by
    /// in the loss that backward differentiates.
    public func callAsFunction(_ x: Variable, _ pass: ForwardPass, lossScale: Float) throws -> Outcome {
        let context = pass.context, strata = configuration.strata
        let router = StratifiedRouter(configuration, isTraining: pass.isTraining)
        let output = context.copy(x.value)
        var passages: [Passage] = [], decisions: [RoutingDecision] = []
        var visits = [UInt8](repeating: 0, count: x.rows)
        var nextStratum = [Int](repeating: 0, count: x.rows)
        var statistics = RoutingStatistics(strata: strata)
        var loss: Float = 0
        for stratum in strata.indices {
            let rows = (0..<x.rows).filter { nextStratum[$0] == stratum }.map { Int32($0) }
            let input = stratum == 0 ? x.value : Self.gather(context, output, rows)
            let passage = try enter(stratum, rows: rows, input: input, addingTo: output, router: router, pass)
            for (token, row) in rows.enumerated() {
                visits[Int(row)] += 1
                nextStratum[Int(row)] = 1 + dispatcher.placement.stratumOfExpert[passage.decision.firstChoice(token)]
            }
            statistics.add(passage.decision, stratum: stratum)
            loss += passage.decision.loadBalancingLoss
            decisions.append(passage.decision)
            if pass.tape.isRecording { passages.append(passage) }
        }
        let gateScale = lossScale / Float(strata.count)
        let result = pass.tape.record(output, parameters: parameters) { dx in
            for stratum in strata.indices.reversed() {
                try leave(stratum, passages.removeLast(), router: router, dx: dx, lossScale: gateScale, context)
            }
            x.receive(dx, context)
        }
        return Outcome(
            output: result, loadBalancingLoss: loss / Float(strata.count), visits: visits, decisions: decisions,
            statistics: statistics)
    }

    /// One stratum forward: adds the experts' contributions for `input` to `rows` of `x`.
    private func enter(
        _ stratum: Int, rows: [Int32], input: Tensor, addingTo x: Tensor, router: StratifiedRouter, _ pass: ForwardPass
    ) throws -> Passage {
        let context = pass.context, d = x.columns, placement = dispatcher.placement
        let statistics = context.uninitialized(rows.count, 2), normalized = context.uninitialized(rows.count, d)
        LayerNormKernel.forward(
            context, x: input, gain: norms[stratum].gain.value, bias: norms[stratum].bias.value, into: normalized,
            statistics: statistics)
        let key = pass.key.derived(stratum)
        let decision = context.clock.measure(.dispatch, "route") {
            let scores = context.uninitialized(rows.count, gates[stratum].rows)
            MatrixProduct.forward(context, x: normalized, w: gates[stratum].value, into: scores)
            return router.route(
                scores: scores, visible: placement.firstExpert[stratum] ..< placement.experts, rows: rows,
                key: key.derived(RandomPurpose.secondExpert.rawValue))
        }
        context.clock.countProducts(m: rows.count, n: gates[stratum].rows, k: d)
        let plan = try dispatcher.plan(context, decision)
        let expertInput = try dispatcher.toExperts(context, Self.gather(context, normalized, plan.rowTokens), plan)
        let activations = context.clock.measure(.experts, "experts") {
            experts.forward(context, rows: expertInput, expertRows: plan.expertRows)
        }
        let outputs = try dispatcher.toTokens(context, activations.outputs, plan)
        let mixture = RowKernels.Mixture(
            slots: plan.slots, weights: outputWeights(decision, rows, pass, key), choices: decision.choices, tokens: rows,
            mask: pass.isTraining && dropout > 0
                ? DropoutMask(probability: dropout, key: key.derived(RandomPurpose.expertOutput.rawValue)) : .none)
        context.clock.measure(.dispatch, "mix") { RowKernels.addMixture(context, mixture, outputs: outputs, to: x) }
        return Passage(
            rows: rows, input: input, statistics: statistics, decision: decision, plan: plan, mixture: mixture,
            arrived: placement.places > 1 ? expertInput : nil,
            hidden: pass.tape.recomputes ? nil : activations.hidden, outputs: outputs)
    }

    /// One stratum backward: `dx`, the gradient of the stratum's result, becomes that of its input.
    private func leave(
        _ stratum: Int, _ passage: Passage, router: StratifiedRouter, dx: Tensor, lossScale: Float, _ context: ComputeContext
    ) throws {
        let d = dx.columns, plan = passage.plan, decision = passage.decision
        let doutputs = context.uninitialized(plan.rowsSent, d)
        var dweights = context.clock.measure(.dispatch, "mix backward") {
            RowKernels.mixtureBackward(context, passage.mixture, dx: dx, outputs: passage.outputs, into: doutputs)
        }
        for index in dweights.indices where decision.weights[index] != 0 {
            // The mixture's weights are the gate's times the masking factor.
            dweights[index] *= passage.mixture.weights[index] / decision.weights[index]
        }
        let norm = norms[stratum]
        let normalized = context.uninitialized(passage.rows.count, d)
        LayerNormKernel.apply(
            context, x: passage.input, gain: norm.gain.value, bias: norm.bias.value, statistics: passage.statistics,
            into: normalized)
        let expertInput = passage.arrived ?? Self.gather(context, normalized, plan.rowTokens)
        let darrived = try dispatcher.toExperts(context, doutputs, plan)
        let dexpertInput = context.clock.measure(.experts, "experts backward") {
            experts.backward(
                context, doutputs: darrived, rows: expertInput,
                hidden: passage.hidden ?? experts.hidden(context, rows: expertInput, expertRows: plan.expertRows),
                expertRows: plan.expertRows)
        }
        let drows = try dispatcher.toTokens(context, dexpertInput, plan)
        let dnormalized = context.uninitialized(passage.rows.count, d)
        let gate = gates[stratum]
        context.clock.measure(.dispatch, "route backward") {
            RowKernels.sumChoices(context, drows, slots: plan.slots, choices: decision.choices, into: dnormalized)
            let dscores = context.uninitialized(decision.tokens, decision.visible.count)
            router.backward(decision, dweights: dweights, loadBalancingScale: lossScale, into: dscores)
            MatrixProduct.backwardWeight(context, dy: dscores, x: normalized, into: gate.gradient)
            MatrixProduct.backwardInput(context, dy: dscores, w: gate.value, into: dnormalized, accumulate: true)
        }
        context.clock.countProducts(2, m: passage.rows.count, n: gate.rows, k: d)
        let dinput = context.uninitialized(passage.rows.count, d)
        LayerNormKernel.backward(
            context, dy: dnormalized, x: passage.input, statistics: passage.statistics, gain: norm.gain.value, into: dinput,
            accumulate: false, dgain: norm.gain.gradient, dbias: norm.bias.gradient)
        RowKernels.scatterAdd(context, dinput, passage.rows, to: dx)
    }

    private static func gather(_ context: ComputeContext, _ x: Tensor, _ rows: [Int32]) -> Tensor {
        let gathered = context.uninitialized(rows.count, x.columns)
        context.clock.measure(.dispatch, "gather") { RowKernels.gather(context, x, rows, into: gathered) }
        return gathered
    }

    /// The gate's weights, with expert output masking: in training a choice's output is zeroed with the configured
    /// probability, in evaluation all are scaled by what training keeps on average.
    private func outputWeights(
        _ decision: RoutingDecision, _ rows: [Int32], _ pass: ForwardPass, _ key: RandomKey
    ) -> [Float] {
        let masking = configuration.expertOutputMasking
        guard masking > 0 else { return decision.weights }
        guard pass.isTraining else { return decision.weights.map { $0 * (1 - masking) } }
        let maskKey = key.derived(RandomPurpose.expertMasking.rawValue), k = decision.choices
        return decision.weights.enumerated().map { index, weight in
            maskKey.uniform(Int(rows[index / k]) * k + index % k) < masking ? 0 : weight
        }
    }
}
