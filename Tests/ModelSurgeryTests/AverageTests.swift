import Checkpoints
import DataPipeline
import Files
import Foundation
import ModelSurgery
import Runs
import Testing
import _TestSupport
import _TinyRuns

@Suite struct AverageTests {
    /// Of tensors [rows, 2].
    private static func model(_ step: Int, _ values: [String: [Float]], data: String = "d") -> StoredModel {
        StoredModel(
            configuration: RunConfiguration(data: DataConfiguration(format: .numerals, prepared: "p")),
            parameters: MemoryTensors(tensors: values.mapValues { ([$0.count / 2, 2], $0) }), step: step, dataFingerprint: data,
            tokenizer: "none",
            path: "step-\(step)")
    }

    private static func read(_ model: StoredModel, _ name: String, _ elements: Range<Int>) throws -> [Float] {
        try [Float](unsafeUninitializedCapacity: elements.count) { buffer, count in
            try model.parameters.read(name, elements, into: buffer.baseAddress!)
            count = elements.count
        }
    }

    /// In single precision the sum of the first column would be 0, for 1 is lost beside 1e8.
    @Test func aMeanIsRoundedOnce() throws {
        let mean = try StoredModel.average([
            Self.model(1, ["w": [1e8, 0.1, 3, 4], "b": [1, 2]]), Self.model(3, ["w": [1, 0.2, 3, 4], "b": [3, 2]]),
            Self.model(2, ["w": [-1e8, 0.4, 3, 7], "b": [5, 2]]),
        ])
        let second = Float((Double(Float(0.1)) + Double(Float(0.2)) + Double(Float(0.4))) / 3)
        #expect(try Self.read(mean, "w", 0..<4) == [Float(1.0 / 3), second, 3, 5])
        #expect(try Self.read(mean, "w", 1..<3) == [second, 3], "pieces are those of the whole")
        #expect(try Self.read(mean, "b", 0..<2) == [3, 2])
        #expect(mean.parameters.names == ["b", "w"] && mean.parameters.shape("w") == [2, 2])
        #expect(mean.parameters.shape("none") == nil && mean.parameters.count("w") == 4)
        #expect(mean.step == 3 && mean.history == ["mean of the parameters after updates 1, 3, 2"])
    }

    @Test func whatDoesNotFitTogetherIsRefused() {
        let first = Self.model(1, ["w": [1, 2], "b": [1, 2]])
        func refusal(_ other: StoredModel) -> String {
            do { _ = try StoredModel.average([first, other]) } catch { return "\(error)" }
            return "none"
        }
        #expect(
            refusal(Self.model(2, ["w": [1, 2], "b": [1, 2, 3, 4]]))
                == "step-2: to be averaged with step-1 its b must be of shape [1, 2], but is of shape [2, 2]: "
                + "average checkpoints of one run")
        #expect(refusal(Self.model(2, ["w": [1, 2]])).contains("its b must be of shape [1, 2], but is absent"))
        #expect(
            refusal(Self.model(2, ["w": [1, 2], "b": [1, 2], "c": [1, 2]])).contains("its c must be absent, but is of shape"))
        #expect(refusal(Self.model(2, ["w": [1, 2], "b": [1, 2]], data: "e")).contains("its data must be d, but is e"))
        var heads = Self.model(2, ["w": [1, 2], "b": [1, 2]])
        heads.configuration.model.heads = 4
        #expect(refusal(heads).contains("its model.heads must be 8, but is 4"))
        var dropout = Self.model(2, ["w": [1, 2], "b": [1, 2]])
        dropout.configuration.model.dropout = 0
        #expect(refusal(dropout) == "none", "what does not change the parameters' meaning may differ")
    }
}
