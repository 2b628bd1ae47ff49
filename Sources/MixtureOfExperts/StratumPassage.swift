import Autograd
import NeuralLayers
import TensorCore

/// One stratum of a block, there and back.
extension StratifiedBlock {
    /// What one stratum keeps for its backward. The normalised rows are computed again from their input.
    struct Passage {
        let rows: [Int32]
        let input: Tensor
        /// Of the LayerNorm; nil where there is none.
        let statistics: Tensor?
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

    /// One stratum forward: adds the experts' contributions for `input` to `rows` of `x`.
    func enter(
        _ stratum: Int, rows: [Int32], input: Tensor, addingTo x: Tensor, router: StratifiedRouter, _ pass: ForwardPass
    ) throws -> Passage {
        let context = pass.context, d = x.columns, placement = dispatcher.placement
        let (normalized, statistics) = normalize(stratum, input, context)
        let key = pass.key.derived(stratum)
        let decision = context.clock.measure(.dispatch, "route") {
            let scores = context.uninitialized(rows.count, gates[stratum].rows)
            MatrixProduct.forward(context, x: normalized, w: gates[stratum].value, into: scores)
            return router.route(
                scores: scores, visible: configuration.visibleExperts(atStratum: stratum), rows: rows,
                key: key.derived(RandomPurpose.secondExpert.rawValue),
                selectionBias: selectionBiases.isEmpty ? [] : selectionBiases[stratum].value.elements)
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
            experts: decision.experts, expertCount: configuration.experts,
            mask: pass.isTraining && dropout > 0
                ? DropoutMask(probability: dropout, key: key.derived(RandomPurpose.expertOutput.rawValue)) : .none)
        context.clock.measure(.dispatch, "mix") { RowKernels.addMixture(context, mixture, outputs: outputs, to: x) }
        return Passage(
            rows: rows, input: input, statistics: statistics, decision: decision, plan: plan, mixture: mixture,
            arrived: placement.places > 1 ? expertInput : nil,
            hidden: pass.tape.recomputes ? nil : activations.hidden, outputs: outputs)
    }

    /// One stratum backward: from `dx`, the gradient of what forward added to, that of the stratum's input through the experts
    /// and the gate. `lossScale` is what a gate's losses, each times its weight, are multiplied by.
    func leave(
        _ stratum: Int, _ passage: Passage, router: StratifiedRouter, dx: Tensor, lossScale: Float, _ context: ComputeContext
    ) throws -> Tensor {
        let d = dx.columns, plan = passage.plan, decision = passage.decision
        let doutputs = context.uninitialized(plan.rowsSent, d)
        var dweights = context.clock.measure(.dispatch, "mix backward") {
            RowKernels.mixtureBackward(context, passage.mixture, dx: dx, outputs: passage.outputs, into: doutputs)
        }
        for index in dweights.indices where decision.weights[index] != 0 {
            // The mixture's weights are the gate's times the masking factor.
            dweights[index] *= passage.mixture.weights[index] / decision.weights[index]
        }
        let normalized = normalized(stratum, passage, context)
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
            router.backward(
                decision, dweights: dweights, loadBalancingScale: lossScale * configuration.auxiliaryLossWeight,
                zLossScale: lossScale * configuration.routerZLoss, into: dscores)
            MatrixProduct.backwardWeight(context, dy: dscores, x: normalized, into: gate.gradient)
            MatrixProduct.backwardInput(context, dy: dscores, w: gate.value, accumulate: true, into: dnormalized)
        }
        context.clock.countProducts(2, m: passage.rows.count, n: gate.rows, k: d)
        guard let statistics = passage.statistics else { return dnormalized }
        let dinput = context.uninitialized(passage.rows.count, d), norm = norms[stratum]
        LayerNormKernel.backward(
            context, dy: dnormalized, x: passage.input, statistics: statistics, gain: norm.gain.value, into: dinput,
            accumulate: false, dgain: norm.gain.gradient, dbias: norm.bias.gradient)
        return dinput
    }

    /// The rows that a stratum's gate and experts see, and its LayerNorm's statistics; stacked mixtures have one before the first
    /// alone.
    private func normalize(_ stratum: Int, _ input: Tensor, _ context: ComputeContext) -> (rows: Tensor, statistics: Tensor?) {
        guard stratum < norms.count else { return (input, nil) }
        let statistics = context.uninitialized(input.rows, 2), normalized = context.uninitialized(input.rows, input.columns)
        LayerNormKernel.forward(
            context, x: input, gain: norms[stratum].gain.value, bias: norms[stratum].bias.value, into: normalized,
            statistics: statistics)
        return (normalized, statistics)
    }

    /// The rows of `normalize` again.
    private func normalized(_ stratum: Int, _ passage: Passage, _ context: ComputeContext) -> Tensor {
        guard let statistics = passage.statistics else { return passage.input }
        let normalized = context.uninitialized(passage.input.rows, passage.input.columns)
        LayerNormKernel.apply(
            context, x: passage.input, gain: norms[stratum].gain.value, bias: norms[stratum].bias.value,
            statistics: statistics, into: normalized)
        return normalized
    }

    static func gather(_ context: ComputeContext, _ x: Tensor, _ rows: [Int32]) -> Tensor {
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
            maskKey.derived(Int(rows[index / k])).uniform(Int(decision.experts[index])) < masking ? 0 : weight
        }
    }
}
