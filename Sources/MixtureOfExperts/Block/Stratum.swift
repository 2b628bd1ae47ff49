import Autograd
import NeuralLayers
import TensorCore

/// One stratum of a block, forward and backward: LayerNorm, gate, the way to the experts and back, and the mixture of what they
/// make of the rows.
struct Stratum {
    let index: Int
    /// LayerNorm of the stratum's rows; nil where they come normalised, or are another stratum's.
    let norm: LayerNorm?
    let gate: any Gate
    let router: StratifiedRouter
    /// What its contribution is multiplied by, [1]; nil: 1.
    let scale: Parameter?
    let experts: GroupedExperts
    let dispatcher: any TokenDispatcher
    let dropout: Float
    /// Whether experts come and go by what is recorded of training's tokens.
    let isRecorded: Bool

    /// What one stratum keeps for its backward. Normalised rows are computed again from their input.
    struct Passage {
        /// The tokens at the stratum, by their rows in the block.
        let rows: [Int32]
        /// The stratum's rows before LayerNorm, [rows, d].
        let input: Tensor
        /// LayerNorm statistics, [rows, 2]: mean, 1/σ; nil without LayerNorm.
        let statistics: Tensor?
        let decision: RoutingDecision
        let plan: DispatchPlan
        let weightedSum: RowKernels.WeightedSum
        /// Factors of the choices' outputs beside their weights, flat; nil for 1.
        let factors: [Float]?
        /// The rows that the experts saw, [rows received, d]; nil where they are this rank's own, to be gathered again.
        let arrived: Tensor?
        /// What the experts left for backward; nil where it is to be computed again, by the same routing.
        let hidden: Tensor?
        /// Expert outputs in the plan's order, [rowsSent, d].
        let outputs: Tensor
        /// What the gate's tokens asked for, where it is recorded.
        let record: GateRecord?
    }

    /// Adds the experts' contributions for `input` to `rows` of `x`. Experts read `rows` of `entry` where it is given, and else what
    /// the gate reads; those that are `taken` are not offered.
    func forward(
        _ input: Tensor, rows: [Int32], entry: Tensor?, taken: TakenExperts?, addingTo x: Tensor, _ pass: ForwardPass
    ) throws -> Passage {
        let context = pass.context
        let (normalized, statistics) = normalize(input, context)
        let key = pass.key.derived(index)
        let decision = context.clock.measure(.dispatch, "route") {
            router.route(
                context, logits: gate.logits(normalized, context), thresholds: gate.thresholds,
                hidden: taken?.among(router.visible, rows: rows), onlyRank: pass.onlyRank, rows: rows, key: key,
                isTraining: pass.isTraining)
        }
        context.clock.count(flops: 2 * rows.count * gate.work)
        let plan = try dispatcher.plan(context, decision)
        let sent = expertRows(normalized, rows: rows, entry: entry, plan, context)
        let there = try dispatcher.toExperts(context, sent, plan)
        let activations = experts.activations(context, expertRows: plan.expertRows)
        let back = try dispatcher.toTokens(context, activations.outputs, plan)
        try plan.pass(context, there, back) { arrived in
            context.clock.measure(.experts, "experts") {
                experts.forward(context, rows: there.rows, expertRows: plan.expertRows, arrived, into: activations)
            }
        }
        try context.handOver()
        let outputs = try back.end()
        let factors = router.outputFactors(decision)
        let weightedSum = RowKernels.WeightedSum(
            slots: plan.slots, weights: scaled(unscaledWeights(decision, factors)),
            offsets: decision.offsets, tokens: rows, experts: decision.experts,
            expertCount: decision.gate.configuration.experts,
            mask: pass.isTraining && dropout > 0
                ? DropoutMask(probability: dropout, key: key.derived(.expertOutput)) : .none)
        context.clock.measure(.dispatch, "mix") { RowKernels.addWeightedSum(context, weightedSum, outputs: outputs, to: x) }
        let record = isRecorded && pass.isTraining ? GateRecord(decision, rows: normalized) : nil
        return Passage(
            rows: rows, input: input, statistics: statistics, decision: decision, plan: plan, weightedSum: weightedSum,
            factors: factors, arrived: dispatcher.placement.places > 1 ? there.rows : nil,
            hidden: pass.tape.recomputes ? nil : activations.hidden, outputs: outputs, record: record)
    }

    /// The gradient of the stratum's input, through the experts and the gate, from `dx`, that of what forward added to.
    /// The gradient of `entry` is added to `dentry`. `lossScale` is what a gate's losses, each times its weight, are multiplied by.
    func backward(
        _ passage: Passage, dx: Tensor, entry: Tensor?, dentry: Tensor?, lossScale: Float, _ context: ComputeContext
    ) throws -> Tensor {
        let d = dx.columns, plan = passage.plan, decision = passage.decision
        var (doutputs, dweights) = context.clock.measure(.dispatch, "mix backward") {
            plan.outputGradients(context, passage.weightedSum, dx: dx, outputs: passage.outputs)
        }
        unscale(&dweights, unscaled: unscaledWeights(decision, passage.factors))
        if let factors = passage.factors { for choice in dweights.indices { dweights[choice] *= factors[choice] } }
        let normalized = normalized(passage, context)
        // Of rows that this rank keeps to itself the way to its experts is no more than rounding.
        let expertInput =
            try passage.arrived
            ?? dispatcher.toExperts(
                context, expertRows(normalized, rows: passage.rows, entry: entry, plan, context), plan
            ).complete()
        let there = try dispatcher.gradientsToExperts(context, doutputs, plan, weighted: passage.weightedSum)
        let gradients = experts.gradients(context, hidden: passage.hidden, expertRows: plan.expertRows)
        let back = try dispatcher.gradientsToTokens(context, gradients.drows, plan)
        try plan.pass(context, there, back) { arrived in
            context.clock.measure(.experts, "experts backward") {
                experts.backward(
                    context, doutputs: there.rows, rows: expertInput, expertRows: plan.expertRows, arrived, into: gradients)
            }
        }
        // While the rows' gradients travel.
        context.clock.measure(.experts, "experts backward") {
            experts.addGradients(
                context, gradients, doutputs: there.rows, rows: expertInput, expertRows: plan.expertRows,
                sourceRows: plan.sourceRows)
        }
        try context.handOver()
        let drows = try back.end()
        let dnormalized = context.uninitialized(passage.rows.count, d)
        context.clock.measure(.dispatch, "route backward") {
            RowKernels.sumChoices(context, drows, slots: plan.gradientSlots, offsets: decision.offsets, into: dnormalized)
            if let dentry {
                RowKernels.scatterAdd(context, dnormalized, passage.rows, to: dentry)
                dnormalized.fill(0)
            }
            let (dlogits, dthresholds) = router.backward(context, decision, dweights: dweights, lossScale: lossScale)
            gate.backward(
                dlogits, dthresholds: dthresholds, rows: normalized, logits: decision.gate.logits, addingTo: dnormalized,
                context)
        }
        context.clock.count(flops: 4 * passage.rows.count * gate.work)
        guard let norm, let statistics = passage.statistics else { return dnormalized }
        let dinput = context.uninitialized(passage.rows.count, d)
        LayerNormKernel.backward(
            context, dy: dnormalized, x: passage.input, statistics: statistics, gain: norm.gain.value, into: dinput,
            accumulate: false, dgain: norm.gain.gradientOrScratch(context), dbias: norm.bias.gradientOrScratch(context))
        return dinput
    }

    /// What the experts of a plan are sent: rows of `entry`, or of what the gate reads.
    private func expertRows(
        _ normalized: Tensor, rows: [Int32], entry: Tensor?, _ plan: DispatchPlan, _ context: ComputeContext
    ) -> Tensor {
        guard let entry else { return context.gathered(normalized, plan.tokens) }
        return context.gathered(entry, plan.tokens.map { rows[Int($0)] })
    }

    /// The rows that the gate sees, and the LayerNorm's statistics.
    private func normalize(_ input: Tensor, _ context: ComputeContext) -> (rows: Tensor, statistics: Tensor?) {
        guard let norm else { return (input, nil) }
        let statistics = context.uninitialized(input.rows, 2), normalized = context.uninitialized(input.rows, input.columns)
        LayerNormKernel.forward(
            context, x: input, gain: norm.gain.value, bias: norm.bias.value, into: normalized, statistics: statistics)
        return (normalized, statistics)
    }

    /// The rows of `normalize` again.
    private func normalized(_ passage: Passage, _ context: ComputeContext) -> Tensor {
        guard let norm, let statistics = passage.statistics else { return passage.input }
        let normalized = context.uninitialized(passage.input.rows, passage.input.columns)
        LayerNormKernel.apply(
            context, x: passage.input, gain: norm.gain.value, bias: norm.bias.value, statistics: statistics, into: normalized)
        return normalized
    }
}

extension ComputeContext {
    /// The given rows of x, in a matrix of their own.
    func gathered(_ x: Tensor, _ rows: [Int32]) -> Tensor {
        let gathered = uninitialized(rows.count, x.columns)
        clock.measure(.dispatch, "gather") { RowKernels.gather(self, x, rows, into: gathered) }
        return gathered
    }
}
