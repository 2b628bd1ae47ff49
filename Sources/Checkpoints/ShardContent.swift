import Autograd
import Collectives
import Files
import Foundation
import TensorCore
import Training

/// What one rank writes of a checkpoint, tensor after tensor: parameters, and under `adam.m.` and `adam.v.` their moments, and
/// under `average.` their moving average where one is kept.
struct ShardContent: Sendable {
    /// A tensor, or a piece of one.
    struct Part: Sendable {
        let name: String
        /// The shape of the whole tensor.
        let shape: [Int]
        /// The elements of the whole tensor that are written.
        let elements: Range<Int>
        /// The values of these elements.
        let values: Tensor
        let offset: Int

        var isWhole: Bool { elements == 0..<shape.reduce(1, *) }
        var buffer: UnsafeBufferPointer<Float> {
            UnsafeBufferPointer(rebasing: values.buffer[offset..<offset + elements.count])
        }
    }

    let parts: [Part]
    var count: Int { parts.reduce(0) { $0 + $1.elements.count } }

    init(parts: [Part]) { self.parts = parts }

    /// The part of this rank, such that all ranks together write each element once. `shares` are the sections' elements that
    /// the ranks hold moments of; collective operations have told them to all.
    ///
    /// Dense tensors are dealt out whole by their place in the buffer, experts are written by their first replica or copy. Moments
    /// stand beside the parameters; where ranks hold shares of them only, each writes what no rank before it covers.
    init(_ state: RankState, _ groups: ParallelGroups, shares: MomentShares) {
        var parts: [Part] = []
        for placement in ParameterPlacement.allCases {
            let values = state.store.section(placement).values, trained = 0..<state.store.section(placement).trained,
                moments = state.moments[placement]
            let own = shares.written(placement, by: groups)
            for location in state.store.locations(placement) {
                func add(_ prefix: String, _ tensor: Tensor, from first: Int, _ elements: Range<Int>) {
                    guard !elements.isEmpty else { return }
                    let start = location.range.lowerBound
                    parts.append(
                        Part(
                            name: prefix + location.slice.name, shape: location.slice.shape,
                            elements: elements.lowerBound - start..<elements.upperBound - start, values: tensor,
                            offset: elements.lowerBound - first))
                }
                let isOwner =
                    switch placement {
                    case .replicated: location.range.lowerBound * groups.world.size / max(values.count, 1) == groups.world.rank
                    case .expert, .copiedExpert: groups.holders(placement).rank == 0
                    }
                if isOwner { add("", values, from: 0, location.range) }
                let held = own.map { location.range.clamped(to: $0) } ?? (isOwner ? location.range.clamped(to: trained) : 0..<0)
                add("adam.m.", moments.first, from: moments.elements.lowerBound, held)
                add("adam.v.", moments.second, from: moments.elements.lowerBound, held)
                if let average = moments.average { add("average.", average, from: moments.elements.lowerBound, held) }
            }
        }
        self.parts = parts
    }

    /// The same with its values copied one after another into `memory`, by all threads of the pool.
    func copied(into memory: Tensor, _ pool: WorkerPool) -> ShardContent {
        var copies: [Part] = [], pieces: [(source: UnsafeBufferPointer<Float>, target: Int)] = []
        var next = 0
        for part in parts {
            copies.append(Part(name: part.name, shape: part.shape, elements: part.elements, values: memory, offset: next))
            let source = part.buffer
            for start in stride(from: 0, to: source.count, by: 1 << 18) {
                let end = min(source.count, start + 1 << 18)
                pieces.append((UnsafeBufferPointer(rebasing: source[start..<end]), next + start))
            }
            next += source.count
        }
        let target = memory.pointer
        pool.parallelFor(pieces.count) { index in
            let (source, place) = pieces[index]
            (target + place).update(from: source.baseAddress!, count: source.count)
        }
        return ShardContent(parts: copies)
    }

    /// - Throws: `FileError`.
    func write(to path: String) throws -> FileRecord {
        let items = parts.map { part in
            SafeTensorsWriter.Item(
                name: part.name, shape: part.isWhole ? part.shape : [part.elements.count], values: part.buffer)
        }
        let pieces = parts.filter { !$0.isWhole }.map {
            ($0.name, TensorPiece(begin: $0.elements.lowerBound, shape: $0.shape).text)
        }
        let writer = try FileWriter(path: path)
        try withExtendedLifetime(self) {
            try SafeTensorsWriter.write(items, metadata: Dictionary(uniqueKeysWithValues: pieces)) { try writer.write($0) }
        }
        return try writer.finish()
    }
}
