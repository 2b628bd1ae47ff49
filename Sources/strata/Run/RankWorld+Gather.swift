import Collectives
import Foundation

extension RankWorld {
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
