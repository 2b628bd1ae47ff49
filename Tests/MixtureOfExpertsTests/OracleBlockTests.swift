import Autograd
import Collectives
import Files
import Foundation
import MixtureOfExperts
import NeuralLayers
import TensorCore
import Testing
import _TestSupport

/// The stratified block against reference results, on one rank and on several.
@Suite struct OracleBlockTests {
    enum Distribution: String, CaseIterable, Sendable {
        /// All tokens on one rank, empty groups on the others.
        case oneRank
        /// The same tokens on every rank: gradients are the number of ranks times as large.
        case everyRank
    }

    /// Options that change nothing as they are set here.
    enum Identity: CaseIterable, Sendable {
        case plain
        /// A gate that is 1 for every token.
        case conditionalRouting
        /// A probability below that of the smallest draw.
        case expertOutputMasking
    }

    @Test func thereAreFiles() { #expect(!OracleFiles.names("block_").isEmpty) }

    @Test(arguments: OracleFiles.names("block_"), [1, 2, 3, 4])
    func block(name: String, ranks: Int) throws {
        for distribution in Distribution.allCases {
            for identity in Identity.allCases {
                _ = try SimulatedCluster.run(ranks: ranks) { world in
                    try Self.check(name, world, distribution, identity)
                }
            }
        }
    }

    private static func check(
        _ name: String, _ world: any Communicator, _ distribution: Distribution, _ identity: Identity
    ) throws {
        let file = try OracleFiles.open(name)
        func number(_ key: String) throws -> Double {
            guard let value = file.metadata[key].flatMap(Double.init) else { throw Disagreement("\(name): no \(key)") }
            return value
        }
        let strata = try JSONDecoder().decode([Int].self, from: Data((file.metadata["strata"] ?? "").utf8))
        var configuration = MixtureConfiguration(strata: strata)
        configuration.topK = Int(try number("top_k"))
        let factor = Float(try number("capacity_factor"))
        configuration.capacityFactor = factor > 0 ? factor : nil
        configuration.secondExpert = .best
        configuration.auxiliaryLossWeight = Float(try number("aux_weight"))
        if identity == .conditionalRouting {
            configuration.conditionalRouting = ConditionalRouting()
            configuration.conditionalRouting?.gateDropout = 0
        }
        if identity == .expertOutputMasking { configuration.expertOutputMasking = 1e-9 }
        let dim = Int(try number("model_dim"))

        let layout = try ParallelLayout(ranks: world.size, expertParallel: nil, strata: strata)
        let group = try world.split(color: layout.replica(ofRank: world.rank), key: world.rank)
        let replicas = try world.split(color: layout.place(ofRank: world.rank), key: world.rank)
        let dispatcher = AllToAllTokenDispatcher(
            communicator: group, placement: ExpertPlacement(strata: strata, places: group.size))
        let context = ComputeContext(threads: 1), store = ParameterStore()
        let block = StratifiedBlock(
            name: "block", configuration: configuration, dim: dim, ffnDim: Int(try number("ffn_dim")), dropout: 0,
            dispatcher: dispatcher, store: store)
        store.materialize(context, seed: 1)
        try loadBlock(store, file)
        block.conditional?.gate.bias.value.fill(200)

        // The last rank: with uneven shards it is the one least like a single rank.
        let hasTokens = distribution == .everyRank || world.rank == world.size - 1
        func input(_ key: String) -> Tensor {
            let values = hasTokens ? file.floats(key)! : []
            return context.tensor(values, rows: values.count / dim, columns: dim)
        }
        let tape = Tape(context, recording: true)
        let x = Variable(input("x"))
        let outcome = try block(
            x, ForwardPass(tape: tape, isTraining: true, key: RandomKey(seed: 3)), lossScale: 1)
        if hasTokens { try checkForward(outcome, file, k: configuration.topK) }
        outcome.output.receive(input("dy"), context)
        let dx = DxProbe(x, context)
        try tape.backward()
        if hasTokens { try expectClose(dx.gradient.elements, file.floats("dx")!, tolerance: 1e-4, "dx") }

        try world.allReduce(store.section(.replicated).gradients.buffer, .sum)
        try replicas.allReduce(store.section(.expert).gradients.buffer, .sum)
        let fold: Float = distribution == .everyRank ? Float(world.size) : 1
        try store.forEachSlice { slice, _, _, gradients in
            if isOfConditionalRouting(slice) { return }
            let key = "grad." + slice.dropFirst("block.".count)
            try expectClose(
                gradients.map { $0 / fold }, file.floats(key)!, tolerance: 1e-4, floor: file.largestGradient * 1e-3, key)
        }
    }

    private static func checkForward(_ outcome: StratifiedBlock.Outcome, _ file: SafeTensorsFile, k: Int) throws {
        try expectClose(outcome.output.value.elements, file.floats("y")!, tolerance: 1e-5, "y")
        try expectClose([outcome.loadBalancingLoss], file.floats("aux")!, tolerance: 1e-5, "aux")
        guard outcome.visits.map(Int32.init) == file.integers("visits")! else { throw Disagreement("visits differ") }
        for (stratum, decision) in outcome.decisions.enumerated() {
            let experts = file.integers("route.\(stratum).experts")!, weights = file.floats("route.\(stratum).weights")!
            guard experts.count == decision.experts.count else { throw Disagreement("stratum \(stratum): other tokens") }
            if decision.tokens > 0 {
                try expectClose(decision.weights, weights, tolerance: 1e-5, "weights of stratum \(stratum)")
            }
            for (index, (actual, expected)) in zip(decision.experts, experts).enumerated() {
                func probability(_ expert: Int32) -> Float {
                    decision.probabilities[index / decision.choices, Int(expert) - decision.visible.lowerBound]
                }
                // Between exactly equal scores the method does not choose.
                guard actual == expected || probability(actual) == probability(expected) else {
                    throw Disagreement("stratum \(stratum), choice \(index): expert \(actual), \(expected) expected")
                }
                // A probability that underflows has weight 0 even if its choice was kept.
                if probability(actual) > 1e-6, decision.kept[index] != (weights[index] > 0) {
                    throw Disagreement("stratum \(stratum), choice \(index): kept \(decision.kept[index])")
                }
            }
            try expectClose(
                [decision.loadBalancingLoss], file.floats("route.\(stratum).aux")!, tolerance: 1e-5, "aux of stratum \(stratum)"
            )
        }
    }

    private static func isOfConditionalRouting(_ name: String) -> Bool {
        name.hasPrefix("block.shared.") || name.hasPrefix("block.cmr_gate.")
    }

    private static func loadBlock(_ store: ParameterStore, _ file: SafeTensorsFile) throws {
        try store.forEachSlice { name, _, values, _ in
            if isOfConditionalRouting(name) { return }
            guard let stored = file.floats("param." + name.dropFirst("block.".count)), stored.count == values.count else {
                throw Disagreement("no param for \(name)")
            }
            for (index, value) in stored.enumerated() { values[index] = value }
        }
    }
}

/// Watches the gradient that a variable receives: the target is made before backward, and added to.
private struct DxProbe {
    let gradient: Tensor

    init(_ variable: Variable, _ context: ComputeContext) {
        gradient = context.zeros(variable.rows, variable.columns)
        variable.receive(gradient, context)
    }
}
