import Files
import Foundation
import MixtureOfExperts
import TransformerModel

/// Which place of an expert-parallel group has which expert, block by block, as `parallel.placement` names it: what `strata plan
/// --placement` writes.
public struct PlacementFile: Codable, Equatable, Sendable {
    /// 1.
    public var version = 1
    /// The ranks of a group.
    public let expertParallel: Int
    /// By name of the block, the global ids of each place's experts, ascending.
    public let blocks: [String: [[Int]]]

    enum CodingKeys: String, CodingKey {
        case version, blocks
        case expertParallel = "expert_parallel"
    }

    public init(expertParallel: Int, blocks: [String: [[Int]]]) {
        self.expertParallel = expertParallel
        self.blocks = blocks
    }

    /// - Throws: `FileError` if the file cannot be read, `RunError` if it is no placement.
    public init(path: String) throws {
        let contents = try FileReader(path: path).contents()
        guard let file = try? JSONDecoder().decode(Self.self, from: contents), file.version == 1 else {
            throw RunError(.data, "\(path): must be a placement of version 1, as strata plan --placement writes it, but is not")
        }
        self = file
    }

    /// - Throws: `FileError`.
    public func write(to path: String) throws {
        let encoder = JSONEncoder()
        encoder.outputFormatting = .sortedKeys
        try FileWriter.replace(path, with: encoder.encode(self) + Data("\n".utf8))
    }

    /// The place of every expert, by block, for a model whose groups have as many ranks; `path` is the file's.
    ///
    /// - Throws: `RunError` if it is not of the model's blocks, or does not give every place a shard of every stratum.
    public func places(in model: ModelConfiguration, path: String) throws -> [String: [Int]] {
        func wrong(_ detail: String) -> RunError {
            RunError(
                .data,
                "\(path): must place the model's experts, but \(detail); make it with strata plan --placement of a run of this model"
            )
        }
        guard Set(blocks.keys) == Set(model.blockNames) else {
            throw wrong("its blocks are \(blocks.keys.sorted()), and the model's \(model.blockNames)")
        }
        return try Dictionary(
            uniqueKeysWithValues: model.blockNames.map { name in
                let strata = model.mixture(ofBlock: name)!.strata, experts = strata.reduce(0, +), shards = blocks[name]!
                guard shards.count == expertParallel, shards.flatMap(\.self).sorted() == Array(0..<experts) else {
                    throw wrong("\(name) has not each of \(experts) experts once on \(expertParallel) places")
                }
                var places = [Int](repeating: 0, count: experts), first = 0
                for (place, shard) in shards.enumerated() {
                    for expert in shard { places[expert] = place }
                }
                for (stratum, size) in strata.enumerated() {
                    var counts = [Int](repeating: 0, count: expertParallel)
                    for place in places[first..<first + size] { counts[place] += 1 }
                    let (least, most) = (size / expertParallel, (size + expertParallel - 1) / expertParallel)
                    guard counts.allSatisfy((max(1, least)...max(1, most)).contains) else {
                        throw wrong(
                            "\(name) has \(counts) of the \(size) experts of stratum \(stratum) on its places, where "
                                + (least == most ? "\(least)" : "\(least) or \(most)") + " of each belong")
                    }
                    first += size
                }
                return (name, places)
            })
    }
}
