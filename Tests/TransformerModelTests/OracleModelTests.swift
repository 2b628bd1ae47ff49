import Autograd
import Collectives
import Foundation
import MixtureMethods
import MixtureOfExperts
import NeuralLayers
import TensorCore
import Testing
import TransformerModel
import _TestSupport

/// Whole models against reference results: the loss, every gradient and five Adam steps.
@Suite struct OracleModelTests {
    @Test func thereAreFiles() { #expect(!OracleFiles.names("model_").isEmpty) }

    @Test(arguments: OracleFiles.names("model_"), [1, 2, 3, 4])
    func model(name: String, ranks: Int) throws {
        _ = try SimulatedCluster.run(ranks: ranks) { try Self.check(name, $0) }
    }

    private static func check(_ name: String, _ world: any Communicator) throws {
        let file = try OracleFiles.open(name)
        func value<Value: Decodable>(_ key: String) throws -> Value {
            try JSONDecoder().decode(Value.self, from: Data((file.metadata[key] ?? "").utf8))
        }
        var configuration = ModelConfiguration()
        configuration.dim = try value("d")
        configuration.ffnDim = try value("ffn")
        configuration.heads = try value("heads")
        configuration.encoderLayers = try value("layers")
        configuration.decoderLayers = configuration.encoderLayers
        configuration.dropout = 0
        configuration.attentionDropout = 0
        let strata: [Int] = try value("strata")
        if !strata.isEmpty {
            var mixture = MixtureConfiguration(strata: strata)
            mixture.every = try value("moe_every")
            mixture.topK = try value("k")
            mixture.capacityFactor = try value("cf")
            mixture[TokenChoice.self].secondExpert = .best
            mixture[LoadBalancing.self].weight = try value("aux_loss_weight")
            configuration.mixture = mixture
        }
        let layout = try ParallelLayout(ranks: world.size, expertParallel: nil, strata: strata)
        let group = try world.split(color: layout.replica(ofRank: world.rank), key: world.rank)
        let replicas = try world.split(color: layout.place(ofRank: world.rank), key: world.rank)
        let context = ComputeContext(threads: 1)
        let model = TranslationModel(
            configuration: configuration, vocabulary: try value("vocab"), context: context, expertGroup: group, seed: 1)
        try model.store.load(file, prefix: "param.")

        let sentences = file.entries["src"]!.shape[0]
        func packed(_ key: String) throws -> (tokens: [Int32], segments: Segments) {
            guard world.rank == 0 else { return ([], .none) }
            let padding: Int32 = try value("pad")
            let rows = file.integers(key)!, length = file.entries[key]!.shape[1]
            let texts = (0..<sentences).map { s in rows[s * length..<(s + 1) * length].filter { $0 != padding } }
            return (texts.flatMap { $0 }, Segments(lengths: texts.map(\.count)))
        }
        let (source, sourceSegments) = try packed("src")
        let (targetInput, targetSegments) = try packed("tgt_in")
        let (targetOutput, _) = try packed("tgt_out")
        let batch = SentenceBatch(
            source: source, sourceSegments: sourceSegments, targetInput: targetInput, targetOutput: targetOutput,
            targetSegments: targetSegments)
        var tokens = [Int64(batch.targetTokens)]
        try world.allReduce(&tokens, .sum)

        let rate: Float = try value("lr"), betas: [Float] = try value("betas"), epsilon: Float = try value("adam_eps")
        let smoothing: Float = try value("label_smoothing")
        let moments = ParameterPlacement.allCases.map { placement in
            let count = model.store.section(placement).values.count
            return (placement, context.zeros(1, count), context.zeros(1, count))
        }
        for step in 0..<file.floats("loss")!.count {
            let tape = Tape(context, recording: true)
            let loss = try model.loss(
                batch, on: tape, isTraining: true, key: RandomKey(seed: 1), smoothing: smoothing,
                gradientScale: 1 / Float(tokens[0]), auxiliaryScale: world.rank == 0 ? 1 : 0)
            try tape.backward()
            if world.rank == 0 {
                let mean = Float(loss.output.smoothed) / Float(tokens[0])
                try expectClose([mean], [file.floats("loss")![step]], tolerance: 1e-5, "loss of step \(step)")
                let aux = loss.figures.filter { $0.name == LoadBalancing.figure }.map(\.value)
                try expectClose(aux, strata.isEmpty ? [] : [file.floats("aux")![step]], tolerance: 1e-4, "aux of step \(step)")
            }
            try world.allReduce(model.store.section(.replicated).gradients.buffer, .sum)
            model.store.addSources()
            try replicas.allReduce(model.store.section(.expert).gradients.buffer, .sum)
            if step == 0 {
                try model.store.forEachSlice { slice, _, _, gradients in
                    try expectClose(
                        Array(gradients), file.floats("grad." + slice)!, tolerance: 1e-4, floor: file.largestGradient * 1e-3,
                        "grad." + slice)
                }
            }
            let update = AdamKernel.Step(
                update: step + 1, learningRate: rate, beta1: betas[0], beta2: betas[1], epsilon: epsilon)
            for (placement, first, second) in moments {
                let section = model.store.section(placement)
                AdamKernel.update(
                    context, update, values: section.values.buffer, gradients: section.gradients.buffer,
                    firstMoments: first.buffer, secondMoments: second.buffer)
            }
        }
        try model.store.forEachSlice { slice, _, values, _ in
            // Adam divides by the root of a gradient's square: where a gradient is near zero its rounding errors count fully.
            try expectClose(Array(values), file.floats("after." + slice)!, tolerance: 2e-3, "after." + slice)
        }
    }
}
