import Collectives
import MixtureOfExperts

/// The mixture blocks of a model, and which experts they have.
extension ModelConfiguration {
    /// What the names of the blocks' parameters begin with, encoder's first.
    public var blockNames: [String] {
        let sides = [("encoder", encoderLayers), ("decoder", decoderLayers)]
        return sides.flatMap { side, layers in
            (0..<layers).filter { block(ofLayer: $0) != nil }.map { "\(side).layers.\($0).moe" }
        }
    }

    /// The number of the block that a layer of encoder or decoder has; nil for a dense one.
    func block(ofLayer index: Int) -> Int? {
        guard let mixture, (index + 1) % mixture.every == 0 else { return nil }
        return index / mixture.every
    }

    /// The mixture that a block is of, whose name is as in `blockNames`; nil in a dense model.
    public func mixture(ofBlock name: String) -> MixtureConfiguration? {
        name.hasPrefix("decoder.") ? mixture?.ofDecoder : mixture?.ofEncoder
    }

    /// The global ids of the experts that exist in each block, encoder's first, as the names of parameters say; nil where the
    /// experts of the configuration do not come and go. It may be none that a model can be made of.
    public func experts(among names: [String]) -> [[Int]]? {
        guard mixture?.pool != nil else { return nil }
        var found: [String: Set<Int>] = [:]
        for name in names {
            let parts = name.split(separator: ".", omittingEmptySubsequences: false)
            guard let place = parts.firstIndex(of: "experts"), place + 1 < parts.count, let id = Int(parts[place + 1]) else {
                continue
            }
            found[parts[..<place].joined(separator: "."), default: []].insert(id)
        }
        return blockNames.map { found[$0, default: []].sorted() }
    }

    /// The ranks of an expert-parallel group of so many that share a copy of strata with fewer experts than that.
    func partSize(of expertParallel: Int) -> Int {
        ParallelLayout.partSize(of: expertParallel, smallest: mixture?.fewestExperts.min() ?? 1)
    }

    /// What moves the rows of each block. Blocks that have the same experts share it, but for those whose experts' places are
    /// given, or some of whose experts every rank has, by the blocks' names. `hosts` are the ranks', where rows are passed on within
    /// them.
    func dispatchers(
        _ expertGroup: any Communicator, experts: [[Int]]?, places: [String: [Int]], replicated: [String: [Int]],
        wire: WireFormat, hosts: PlaceHosts?
    ) -> [any TokenDispatcher] {
        guard let mixture else { return [] }
        func dispatcher(
            _ mixture: MixtureConfiguration, _ existing: [Int]?, given: [Int]? = nil, replicated: [Int] = []
        ) -> any TokenDispatcher {
            makeTokenDispatcher(
                communicator: expertGroup, strata: mixture.strata, partSize: partSize(of: expertGroup.size),
                widths: mixture.expertWidths, existing: existing, given: given, replicated: replicated,
                wire: wire, passingOnWithin: hosts)
        }
        if !places.isEmpty || !replicated.isEmpty {
            return blockNames.map {
                dispatcher(self.mixture(ofBlock: $0)!, nil, given: places[$0], replicated: replicated[$0] ?? [])
            }
        }
        if let experts {
            return experts.enumerated().map { dispatcher($0 < encoderBlocks ? mixture.ofEncoder : mixture.ofDecoder, $1) }
        }
        let inEncoder = dispatcher(mixture.ofEncoder, mixture.pool == nil ? nil : mixture.initialExperts)
        let inDecoder = mixture.decoderStrata == nil ? inEncoder : dispatcher(mixture.ofDecoder, nil)
        return (0..<encoderBlocks).map { _ in inEncoder } + (0..<decoderBlocks).map { _ in inDecoder }
    }
}
