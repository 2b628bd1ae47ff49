import Collectives
import Foundation

extension RankWorld {
    /// This rank's values of those that are dealt out in turn.
    func share<Value>(of values: [Value]) -> [Value] {
        stride(from: world.rank, to: values.count, by: world.size).map { values[$0] }
    }

    /// Every rank's texts for its share, put in the order of all, on every rank. A collective operation.
    func inOrder(_ own: [String], count: Int) throws -> [String] {
        var result = [String](repeating: "", count: count)
        for (rank, texts) in try gather(own).enumerated() {
            for (offset, text) in texts.enumerated() { result[rank + offset * world.size] = text }
        }
        return result
    }

    /// The values of all ranks, in rank order, on every rank; numbers in them may be infinite or none, as those of a model that has
    /// diverged are. A collective operation.
    func gather<Value: Codable>(_ value: Value) throws -> [Value] {
        let encoder = JSONEncoder(), decoder = JSONDecoder()
        encoder.nonConformingFloatEncodingStrategy = .convertToString(
            positiveInfinity: "inf", negativeInfinity: "-inf", nan: "nan")
        decoder.nonConformingFloatDecodingStrategy = .convertFromString(
            positiveInfinity: "inf", negativeInfinity: "-inf", nan: "nan")
        return try world.allGather(varying: [UInt8](encoder.encode(value))).map {
            try decoder.decode(Value.self, from: Data($0))
        }
    }
}
