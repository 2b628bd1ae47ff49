import Autograd
import NeuralLayers
import TensorCore

/// A stratified mixture of experts with its LayerNorms and residuals (Docs/Method.md, "The block in words"): it composes what the
/// configuration's methods answer to the frame's questions. With one stratum it is a plain mixture. Parameters
/// `<name>.norms.{s}.*`, `<name>.gates.{s}.weight`, `<name>.experts.{e}.*`, and those of the methods.
///
/// Every rank of the expert-parallel group enters every stratum, in forward and in backward, whether it has tokens or not.
public struct StratifiedBlock {
    /// What the names of its parameters begin with.
    public let name: String
    public let configuration: MixtureConfiguration
    /// Which experts exist, and where.
    public let placement: ExpertPlacement
    /// LayerNorm of the rows that the first stratum and the wrappers read.
    public let entryNorm: LayerNorm
    public let experts: GroupedExperts
    let strata: [Stratum]
    let entry: (any EntryNetwork)?
    let wrappers: [any BlockWrapper]
    /// Parameters whose gradients backward of the strata adds to, whichever of them tokens reach.
    private let parameters: [Parameter]

    public init(
        name: String, configuration: MixtureConfiguration, dim: Int, ffnDim: Int, dropout: Float,
        dispatcher: any TokenDispatcher, store: ParameterStore
    ) {
        precondition(dispatcher.placement.strata == configuration.strata)
        precondition(dim % configuration.rowsPerToken == 0, "rows are cut into parts of equal width")
        let width = dim / configuration.rowsPerToken
        let inner = BlockSite(name: name, configuration: configuration, dim: width, ffnDim: ffnDim, dropout: dropout)
        let block = BlockSite(name: name, configuration: configuration, dim: dim, ffnDim: ffnDim, dropout: dropout)
        self.name = name
        self.configuration = configuration
        placement = dispatcher.placement
        entryNorm = LayerNorm(name: "\(name).norms.0", dim: dim, store: store)
        let sites = configuration.strata.indices.map {
            GateSite(name: "\(name).gates.\($0)", configuration: configuration, stratum: $0, dim: width)
        }
        let ((norms, gates, scales, experts), parameters) = store.collect {
            let laterNorms = configuration.strataOrder == .stacked ? 0 : configuration.strata.count - 1
            let norms = (0..<laterNorms).map { LayerNorm(name: "\(name).norms.\($0 + 1)", dim: width, store: store) }
            let gates = sites.map { $0.gate(store: store) }
            let scales = configuration.strata.indices.map { stratum in
                configuration.scalesStrata && stratum > 0
                    ? store.add(
                        Parameter(vectors: ["\(name).scales.\(stratum)"], countEach: 1, initializer: .constant(1))) : nil
            }
            let placement = dispatcher.placement
            let experts = placement.expertsOfPlace[dispatcher.place].map { id in
                store.addingExpert(placement.copies[id]) { inner.expert(id, store: store) }
            }
            return (norms, gates, scales, GroupedExperts(experts, dim: width))
        }
        self.parameters = parameters
        self.experts = experts
        strata = zip(sites, gates).enumerated().map { index, next in
            let (site, gate) = next
            let adjustments = configuration.methods(for: (any SelectionMethod).self).compactMap {
                $0.adjustment(of: site, store: store)
            }
            return Stratum(
                index: index, norm: index == 0 || norms.isEmpty ? nil : norms[index - 1], gate: gate,
                router: StratifiedRouter(site, adjustments: adjustments), scale: scales[index], experts: experts,
                dispatcher: dispatcher, dropout: dropout, isRecorded: configuration.pool != nil)
        }
        // Each is asked once: it adds parameters.
        let entries = configuration.methods(for: (any EntryMethod).self).compactMap { $0.entry(of: block, store: store) }
        precondition(entries.count <= 1, "of several networks before the experts, which they read is not clear")
        entry = entries.first
        wrappers = configuration.methods(for: (any WrappingMethod).self).compactMap { $0.wrapper(of: block, store: store) }
    }

    /// W_i of each stratum, [V_i, width of the rows that it scores].
    public var gates: [Parameter] { strata.map { $0.gate.weight } }
    /// The LayerNorm of each stratum that has one, the first's before.
    public var norms: [LayerNorm] { [entryNorm] + strata.compactMap(\.norm) }

    /// x [T, d] → x + the block's contribution, [T, d]. Figures and decisions go to the pass, which also says how losses are
    /// scaled.
    public func callAsFunction(_ x: Variable, _ pass: ForwardPass) throws -> Variable {
        var figures: [[BlockFigure]] = [], statistics = RoutingStatistics(strata: configuration.strata)
        var decisions: [RoutingDecision] = [], records: [GateRecord] = []
        // Wrappers are put around the experts one by one; the last is the outermost.
        let h = entryNorm(x, pass)
        if pass.keepsRows { pass.report(LayerRows(rows: h.value)) }
        let (base, read) = entry?(x, h: h, pass) ?? (x, nil)
        let inner: BlockWrapper.Inner = { x, h in
            // What surrounds the experts may leave all rows out.
            let rows = read.map { x.rows == $0.rows ? $0 : Variable(pass.context.uninitialized(0, $0.columns)) }
            let (output, made, recorded) = try enter(x, h, rows, pass)
            guard pass.isReporting else { return output }
            records = recorded
            for (stratum, decision) in made.enumerated() { statistics.add(decision, stratum: stratum) }
            figures.insert(.combined(zip(strata, made).map { $0.router.figures($1) + $0.gate.losses }), at: 0)
            if pass.keepsDecisions { decisions = made }
            return output
        }
        let block = wrappers.reduce(inner) { inner, wrapper in
            { x, h in
                let (output, own) = try wrapper(x, h: h, pass, inner: inner)
                figures.append(own)
                return output
            }
        }
        let output = try block(base, h)
        pass.report(BlockReport(figures: .combined(figures), statistics: statistics, decisions: decisions, records: records))
        return output
    }

    /// x [T, d], h, what the first stratum reads, and what experts read where it is something else → x + the experts'
    /// contributions, the gates' decisions, and their records.
    private func enter(
        _ x: Variable, _ h: Variable, _ read: Variable?, _ pass: ForwardPass
    ) throws -> (output: Variable, decisions: [RoutingDecision], records: [GateRecord]) {
        let context = pass.context, walk = configuration.walk
        let forward = try walk.forward(strata, x: x.value, h: h.value, entry: read?.value, pass)
        var passages = forward.passages
        let gateScale = pass.auxiliaryScale / Float(strata.count)
        let output = pass.tape.record(forward.output, parameters: parameters) { dx in
            // Every token group has its share of the losses of gates' parameters, an empty one none.
            if dx.rows > 0 { for stratum in strata { stratum.gate.addLossGradient(scale: gateScale) } }
            let dread = read.map { context.zeros($0.rows, $0.columns) }
            h.receive(
                try walk.backward(
                    strata, &passages, dx: dx, entry: read?.value, dentry: dread, lossScale: gateScale, context), context)
            if let read, let dread { read.receive(dread, context) }
            x.receive(dx, context)
        }
        return (output, forward.decisions, forward.records)
    }

    /// Moves what methods learn from loads: `chosen` is the world's of an update, as `RoutingStatistics.chosen`, so that every
    /// rank does the same.
    public func update(chosen: [[Int]]) {
        for stratum in strata {
            stratum.router.update(chosen: chosen[stratum.index][configuration.visibleExperts(atStratum: stratum.index)])
        }
    }
}

extension BlockSite {
    /// The expert of a global id, as a method makes it or as the paper has it.
    fileprivate func expert(_ id: Int, store: ParameterStore) -> any ExpertNetwork {
        let name = "\(name).experts.\(id)"
        // Each is asked once: a lazy search would ask the one that answers twice, and add its parameters twice.
        for method in configuration.methods(for: (any ExpertMethod).self) {
            if let expert = method.expert(id, name: name, of: self, store: store) { return expert }
        }
        return FeedForwardExpert(name: name, dim: dim, ffnDim: configuration.expertWidths?[id] ?? ffnDim, store: store)
    }
}
