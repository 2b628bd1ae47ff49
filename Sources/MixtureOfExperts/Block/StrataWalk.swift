import NeuralLayers
import TensorCore

/// The way of a token group through the strata of a block.
protocol StrataWalk {
    /// x [T, d] and what the first stratum reads of it, h [T, d] → x + the strata's contributions, in a tensor of its own. Experts
    /// read `entry` [T, d], where it is given, and else what their gates read.
    func forward(_ strata: [Stratum], x: Tensor, h: Tensor, entry: Tensor?, _ pass: ForwardPass) throws -> StrataPassages

    /// `dx`, the gradient of the result, becomes that of x, but for the part through h, which is returned; that of `entry` is
    /// added to `dentry`. `lossScale` is what a gate's losses, each times its weight, are multiplied by. Passages are let go one by
    /// one.
    func backward(
        _ strata: [Stratum], _ passages: inout [Stratum.Passage], dx: Tensor, entry: Tensor?, dentry: Tensor?, lossScale: Float,
        _ context: ComputeContext
    ) throws -> Tensor
}

/// A token group's way through the strata of a block.
struct StrataPassages {
    let output: Tensor
    /// Decisions of the gates, in their order.
    private(set) var decisions: [RoutingDecision] = []
    /// What each stratum keeps for backward; empty where none follows.
    var passages: [Stratum.Passage] = []
    /// What was recorded at the gates, in their order; none where nobody asks.
    private(set) var records: [GateRecord] = []

    init(output: Tensor) { self.output = output }

    mutating func add(_ passage: Stratum.Passage, _ pass: ForwardPass) {
        decisions.append(passage.decision)
        if let record = passage.record { records.append(record) }
        if pass.tape.isRecording { passages.append(passage) }
    }
}

extension MixtureConfiguration {
    var walk: any StrataWalk {
        strataOrder == .stacked
            ? StackedWalk() : StratifiedWalk(readsEntry: strataReadEntry, takesOnce: expertsAreTakenOnce)
    }
}

/// The stratified walk: a token goes on behind the stratum of its leading expert; every stratum adds to the rows at it (7).
struct StratifiedWalk: StrataWalk {
    /// Whether strata after the first read the rows that came into the block.
    let readsEntry: Bool
    /// Whether gates do not offer a token the experts that it has taken.
    let takesOnce: Bool

    func forward(_ strata: [Stratum], x: Tensor, h: Tensor, entry: Tensor?, _ pass: ForwardPass) throws -> StrataPassages {
        let context = pass.context, output = context.copy(x)
        var progress: StratumProgress?, passages = StrataPassages(output: output), taken: TakenExperts?
        for stratum in strata {
            let rows = progress?.tokens(at: stratum.index) ?? (0..<x.rows).map { Int32($0) }
            // Rows that the stratum adds to are copied; backward needs them as they were.
            let input = stratum.norm == nil ? h : context.gathered(readsEntry ? x : output, rows)
            let passage = try stratum.forward(input, rows: rows, entry: entry, taken: taken, addingTo: output, pass)
            if takesOnce {
                if taken == nil {
                    taken = TakenExperts(tokens: x.rows, experts: passage.decision.gate.configuration.experts)
                }
                taken?.add(rows, passage.decision)
            }
            if progress == nil {
                progress = StratumProgress(
                    passage.decision.gate.configuration, tokens: x.rows, mostRounds: pass.mostRounds)
            }
            progress?.advance(rows, by: passage.decision)
            passages.add(passage, pass)
        }
        return passages
    }

    func backward(
        _ strata: [Stratum], _ passages: inout [Stratum.Passage], dx: Tensor, entry: Tensor?, dentry: Tensor?, lossScale: Float,
        _ context: ComputeContext
    ) throws -> Tensor {
        // What strata read is what those before have added to, or what came into the block.
        let target = readsEntry ? context.zeros(dx.rows, dx.columns) : dx
        for stratum in strata.dropFirst().reversed() {
            let passage = passages.removeLast()
            let dinput = try stratum.backward(passage, dx: dx, entry: entry, dentry: dentry, lossScale: lossScale, context)
            RowKernels.scatterAdd(context, dinput, passage.rows, to: target)
        }
        let dh = try strata[0].backward(
            passages.removeLast(), dx: dx, entry: entry, dentry: dentry, lossScale: lossScale, context)
        if readsEntry { Elementwise.add(context, target, to: dx) }
        return dh
    }
}

/// Every token passes all strata, each reading what the one before made; the last adds to the rows.
struct StackedWalk: StrataWalk {
    func forward(_ strata: [Stratum], x: Tensor, h: Tensor, entry: Tensor?, _ pass: ForwardPass) throws -> StrataPassages {
        let context = pass.context, output = context.copy(x), rows = (0..<x.rows).map { Int32($0) }
        var passages = StrataPassages(output: output), input = h
        for stratum in strata {
            let target = stratum.index == strata.count - 1 ? output : context.zeros(x.rows, x.columns)
            passages.add(try stratum.forward(input, rows: rows, entry: entry, taken: nil, addingTo: target, pass), pass)
            input = target
        }
        return passages
    }

    func backward(
        _ strata: [Stratum], _ passages: inout [Stratum.Passage], dx: Tensor, entry: Tensor?, dentry: Tensor?, lossScale: Float,
        _ context: ComputeContext
    ) throws -> Tensor {
        try strata.reversed().reduce(dx) { gradient, stratum in
            try stratum.backward(
                passages.removeLast(), dx: gradient, entry: entry, dentry: dentry, lossScale: lossScale, context)
        }
    }
}
