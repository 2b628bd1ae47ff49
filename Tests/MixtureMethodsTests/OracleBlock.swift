import Autograd
import Collectives
import Files
import Foundation
import MixtureMethods
import MixtureOfExperts
import NeuralLayers
import TensorCore
import _TestSupport

/// A file of reference results of one block: how it is configured, and what must come out of it.
struct OracleBlock {
    enum Distribution: String, CaseIterable, Sendable {
        /// All tokens on one rank, empty groups on the others.
        case oneRank
        /// The same tokens on every rank: gradients are the number of ranks times as large.
        case everyRank
    }

    let name: String
    let file: SafeTensorsFile
    var configuration: MixtureConfiguration
    let dim: Int
    let ffnDim: Int
    /// Our names of the losses by the file's. There, the block's is `aux.<name>`; files of the paper's block have one, `aux`.
    let figures: [String: String]
    /// What gradients are measured against that have no larger entry.
    let gradientFloor: Float
    /// Whether the block is that of training; there are gradients then.
    private(set) var isTraining = true
    /// Parameters that the file does not know, of options that change nothing: their names begin so.
    var unknown: [String] = []
    /// Sets the values of such parameters.
    var prepare: @Sendable (ParameterStore) throws -> Void = { _ in }

    /// The losses' names in the files of methods: the path of the loss's weight, and its name in metrics.
    private static let losses = [
        "load_balance": (path: ["aux_loss_weight"], figure: "aux"),
        "width_penalty": (path: ["width_penalty", "weight"], figure: "width_penalty"),
        "router_entropy": (path: ["router_entropy"], figure: "router_entropy"),
        "diversity": (path: ["top_any", "diversity"], figure: "diversity"),
        "simplicity": (path: ["top_any", "simplicity"], figure: "simplicity"),
        "balance": (path: ["top_any", "balance"], figure: "balance"),
        "efficiency": (path: ["top_any", "efficiency"], figure: "efficiency"),
    ]
    /// Options of the files that say what there is anyway, where the library has no such key.
    private static let implied = ["score": "softmax"]

    /// Reads `block_*` and `method_*` files.
    init(_ name: String) throws {
        self.name = name
        let file = try OracleFiles.open(name)
        self.file = file
        func metadata(_ key: String) throws -> String {
            guard let text = file.metadata[key] else { throw Disagreement("\(name): no \(key)") }
            return text
        }
        func number(_ key: String) throws -> Float {
            guard let value = Float(try metadata(key)) else { throw Disagreement("\(name): \(key) is no number") }
            return value
        }
        (dim, ffnDim) = (Int(try number("model_dim")), Int(try number("ffn_dim")))
        var keys: [String: JSONValue]
        if file.metadata["method"] == nil {
            keys = try JSONDecoder().decode(
                [String: JSONValue].self,
                from: Data(#"{"strata": \#(try metadata("strata")), "top_k": \#(try metadata("top_k"))}"#.utf8))
            keys["capacity_factor"] = .number(Double(try number("capacity_factor")))
            keys["aux_loss_weight"] = .number(Double(try number("aux_weight")))
            (figures, gradientFloor) = (["": "aux"], file.largestGradient * 1e-3)
        } else {
            keys = try JSONDecoder().decode([String: JSONValue].self, from: Data(try metadata("options").utf8))
            let weights = try JSONDecoder().decode([String: Double].self, from: Data(try metadata("aux_weights").utf8))
            for loss in weights.keys where Self.losses[loss] == nil { throw Disagreement("\(name): no loss \(loss) is known") }
            for (loss, known) in Self.losses {
                // A loss that the file does not know weighs nothing.
                let weight = JSONValue.number(weights[loss] ?? 0), path = known.path
                if case .map(var section)? = keys[path[0]] {
                    section[path[1]] = weight
                    keys[path[0]] = .map(section)
                } else if path.count == 1 {
                    keys[path[0]] = weight
                }
            }
            if case .boolean(true)? = keys["evaluation"] { isTraining = false }
            // Which experts may be chosen is a parameter of the gates; `up_std` is how parameters were drawn.
            for key in ["evaluation", "inactive", "up_std"] { keys[key] = nil }
            // 1e-4 of the largest entry, or 1e-5 where that is more.
            (figures, gradientFloor) = (Self.losses.filter { weights[$0.key] != nil }.mapValues(\.figure), 0.1)
        }
        if keys["capacity_factor"] == nil { keys["capacity_factor"] = .null }
        if case .number(0)? = keys["capacity_factor"] { keys["capacity_factor"] = .null }
        if case .integer(0)? = keys["capacity_factor"] { keys["capacity_factor"] = .null }
        if case .map(var mpo)? = keys["mpo"] {
            if case .integer(0)? = mpo["truncate"] { mpo["truncate"] = .null }
            keys["mpo"] = .map(mpo)
        }
        // No random draws.
        keys["second_expert"] = .text("best")
        let known = WrittenMixture.form.keys("")
        for (key, value) in Self.implied where !known.contains(key) {
            if case .text(value)? = keys[key] { keys[key] = nil }
        }
        configuration = try WrittenMixture.form.read(root: JSONValue.map(keys).node)
    }

    /// Runs the block on so many ranks, forward and backward.
    ///
    /// - Throws: `Disagreement` where something else comes out.
    func check(ranks: Int, _ distribution: Distribution) throws {
        _ = try SimulatedCluster.run(ranks: ranks) { try check($0, distribution) }
    }

    private func check(_ world: any Communicator, _ distribution: Distribution) throws {
        let layout = try ParallelLayout(ranks: world.size, expertParallel: nil, strata: configuration.strata)
        let group = try world.split(color: layout.replica(ofRank: world.rank), key: world.rank)
        let replicas = try world.split(color: layout.place(ofRank: world.rank), key: world.rank)
        let dispatcher = makeTokenDispatcher(
            communicator: group, strata: configuration.strata, widths: configuration.expertWidths)
        let context = ComputeContext(threads: 1), store = ParameterStore()
        let block = StratifiedBlock(
            name: "block", configuration: configuration, dim: dim, ffnDim: ffnDim, dropout: 0, dispatcher: dispatcher,
            store: store)
        store.materialize(context, seed: 1, sources: { $0 == .expert ? group.size : 1 })
        try load(store)
        try prepare(store)
        store.refresh()

        // The last rank: with uneven shards it is the one least like a single rank.
        let hasTokens = distribution == .everyRank || world.rank == world.size - 1
        func input(_ key: String) -> Tensor {
            let values = hasTokens ? file.floats(key)! : []
            return context.tensor(values, rows: values.count / dim, columns: dim)
        }
        let tape = Tape(context, recording: true), x = Variable(input("x")), reports = PassReports()
        var pass = ForwardPass(tape: tape, isTraining: isTraining, key: RandomKey(seed: 3), reporting: reports)
        (pass.auxiliaryScale, pass.keepsDecisions) = (1, true)
        let output = try block(x, pass), report = reports.all(of: BlockReport.self)[0]
        if hasTokens { try checkForward(output.value, report) }
        guard isTraining else { return }
        output.receive(input("dy"), context)
        let dx = context.zeros(x.rows, dim)
        x.receive(dx, context)
        try tape.backward()
        if hasTokens { try expectClose(dx.elements, file.floats("dx")!, tolerance: 1e-4, "dx") }

        try world.allReduce(store.section(.replicated).gradients.buffer, .sum)
        store.addSources()
        try replicas.allReduce(store.section(.expert).gradients.buffer, .sum)
        try store.handOnGradients(context, experts: group, partSize: group.size)
        let fold: Float = distribution == .everyRank ? Float(world.size) : 1
        try forEachKnownSlice(store) { key, _, gradients in
            if file.integers("param." + key) != nil {
                guard gradients.allSatisfy({ $0 == 0 }) else { throw Disagreement("\(name): \(key) has a gradient") }
                return
            }
            guard let expected = file.floats("grad." + key) else { throw Disagreement("\(name): no grad.\(key)") }
            try expectClose(
                gradients.map { $0 / fold }, expected, tolerance: 1e-4, floor: gradientFloor, "gradient of \(key)")
        }
    }

    private func checkForward(_ output: Tensor, _ report: BlockReport) throws {
        try expectClose(output.elements, file.floats("y")!, tolerance: 1e-5, "y")
        // What the block is told to be equal to; strata with a scale of their own, trained adapters and some of the experts are not.
        if !["_scale_", "_later", "_scaled", "_k2"].contains(where: name.contains), let dense = file.floats("dense.y") {
            try expectClose(output.elements, dense, tolerance: 1e-5, "y and dense.y")
        }
        try checkLosses(report.figures, "", figures)
        guard report.visits(rows: output.rows * configuration.rowsPerToken).map(Int32.init) == file.integers("visits")! else {
            throw Disagreement("\(name): visits differ")
        }
        for (stratum, decision) in report.decisions.enumerated() { try checkRoute(decision, stratum) }
    }

    /// The routes of `method_*` files are ragged; those of `block_*` files have as many choices for every token, of which the first
    /// leads.
    private func checkRoute(_ decision: RoutingDecision, _ stratum: Int) throws {
        let route = "route.\(stratum)"
        let experts = file.integers("\(route).experts")!, weights = file.floats("\(route).weights")!
        if let offsets = file.integers("\(route).offsets") {
            guard offsets == decision.offsets else { throw Disagreement("\(name), \(route): other numbers of choices") }
            guard file.integers("\(route).leading")! == decision.leading else {
                throw Disagreement("\(name), \(route): other leading experts")
            }
        }
        guard experts.count == decision.experts.count else { throw Disagreement("\(name), \(route): other tokens") }
        if isTraining, let counts = file.integers("\(route).record.choices") {
            let made = decision.visible.map { expert in Int32(decision.experts.count { $0 == expert }) }
            guard made == counts else { throw Disagreement("\(name), \(route): \(made) choices, \(counts) expected") }
        }
        if decision.tokens > 0 { try expectClose(decision.weights, weights, tolerance: 1e-5, "weights of \(route)") }
        for (index, (actual, expected)) in zip(decision.experts, experts).enumerated() {
            func score(_ expert: Int32) -> Float {
                decision.gate.scores[Int(decision.choiceTokens[index]), Int(expert) - decision.visible.lowerBound]
            }
            // Between exactly equal scores the method does not choose.
            guard actual == expected || score(actual) == score(expected) else {
                throw Disagreement("\(name), \(route), choice \(index): expert \(actual), \(expected) expected")
            }
            // A probability that underflows has weight 0 even if its choice was kept.
            if score(actual) > 1e-6, decision.kept[index] != (weights[index] > 0) {
                throw Disagreement("\(name), \(route), choice \(index): kept \(decision.kept[index])")
            }
        }
        let gate = GateSite(name: "gate", configuration: configuration, stratum: stratum, dim: dim)
        // Losses of the gate's parameters alone are held as the block's.
        let losses = StratifiedRouter(gate).losses(decision), names = Set(losses.map(\.name))
        try checkLosses(losses, "\(route).", figures.filter { names.contains($0.value) })
    }

    private func checkLosses(_ figures: [BlockFigure], _ prefix: String, _ names: [String: String]) throws {
        for (loss, figure) in names {
            let key = prefix + (loss.isEmpty ? "aux" : "aux.\(loss)")
            guard let value = figures.first(where: { $0.name == figure })?.value else {
                throw Disagreement("\(name): no figure \(figure)")
            }
            guard let expected = file.floats(key) else { throw Disagreement("\(name): no \(key)") }
            try expectClose([value], expected, tolerance: 1e-5, key)
        }
    }

    /// Calls `body` with the file's name of every slice that this rank holds and the file knows.
    private func forEachKnownSlice(
        _ store: ParameterStore,
        _ body: (String, UnsafeMutableBufferPointer<Float>, UnsafeMutableBufferPointer<Float>) throws -> Void
    ) throws {
        try store.forEachSlice { slice, _, values, gradients in
            let key = String(slice.dropFirst("block.".count))
            if !unknown.contains(where: key.hasPrefix) { try body(key, values, gradients) }
        }
    }

    private func load(_ store: ParameterStore) throws {
        try forEachKnownSlice(store) { key, values, _ in
            let counts = file.integers("param." + key)?.map { Float($0) }
            guard let stored = file.floats("param." + key) ?? counts, stored.count == values.count else {
                throw Disagreement("\(name): no param.\(key)")
            }
            for (index, value) in stored.enumerated() { values[index] = value }
        }
    }
}
