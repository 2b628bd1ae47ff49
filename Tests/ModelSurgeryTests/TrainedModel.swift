import Autograd
import Checkpoints
import Collectives
import DataPipeline
import ModelSurgery
import Runs
import _TestSupport
import _TinyRuns

/// A model of a tiny run after some updates on one rank, in memory and with its moments, and its loss on held-out text.
func trainedModel(
    _ plan: TinyPlan, updates: Int, tokenizer: String = "none", path: String = "dense"
) throws -> (model: StoredModel, loss: Double) {
    try SimulatedCluster.run(ranks: 1) { world in
        let run = try TinyRun(world, plan)
        for _ in 0..<updates { _ = try run.trainer.step() }
        var parameters: [String: (shape: [Int], values: [Float])] = [:], moments = parameters
        for placement in ParameterPlacement.allCases {
            let values = run.model.store.section(placement).values, share = run.optimizer.share(placement)
            let own = run.optimizer.moments(placement)
            for location in run.model.store.locations(placement) {
                let (name, shape, range) = (location.slice.name, location.slice.shape, location.range)
                parameters[name] = (shape, Array(values.buffer[range]))
                guard range.upperBound <= share.upperBound else { continue }
                moments["adam.m.\(name)"] = (shape, Array(own.first.buffer[range]))
                moments["adam.v.\(name)"] = (shape, Array(own.second.buffer[range]))
            }
        }
        var full = RunConfiguration(data: DataConfiguration(format: .numerals, prepared: "p"))
        full.model = run.model.configuration
        var model = StoredModel(
            configuration: full, parameters: MemoryTensors(tensors: parameters), step: updates, dataFingerprint: "d",
            tokenizer: tokenizer, path: path)
        model.moments = try StoredMoments(
            MemoryTensors(tensors: moments), of: model.parameters, updates: updates, path: path)
        return (model, try run.validate().validLoss)
    }[0]
}

extension NamedTensors {
    /// All elements of a tensor, read in pieces whose ends lie in the middle of rows; nil if there is none.
    func pieces(_ name: String) throws -> [Float]? {
        guard shape(name) != nil else { return nil }
        let count = count(name)
        return try [Float](unsafeUninitializedCapacity: count) { buffer, initialized in
            for start in stride(from: 0, to: count, by: 37) {
                try read(name, start..<min(start + 37, count), into: buffer.baseAddress! + start)
            }
            initialized = count
        }
    }
}
