import Autograd
import Collectives
import TensorCore

extension ParameterStore {
    /// Hands the gradients of derived matrices on to what these are computed of, when they are summed over token groups:
    /// contributions to a shared parameter are added up in the order of the experts, wherever they are, those of copies once: the
    /// first rank's, or the first part's, which has `partSize` ranks. `isMasked` shared parameters get none. A collective operation of the
    /// expert-parallel group.
    public func handOnGradients(
        _ context: ComputeContext, experts group: any Communicator, partSize: Int,
        isMasked: (any DerivedWeight) -> Bool = { _ in false }
    ) throws {
        let trained = derived.filter(\.matrix.isTrained)
        // In the same order on all ranks: each has an expert of every stratum.
        var order: [ObjectIdentifier] = []
        for weight in trained where !order.contains(ObjectIdentifier(weight.shared)) {
            order.append(ObjectIdentifier(weight.shared))
        }
        let byShared = Dictionary(grouping: trained) { ObjectIdentifier($0.shared) }
        for identifier in order {
            let weights = byShared[identifier]!, shared = weights[0].shared
            let all = weights.map { _ in context.uninitialized(1, shared.count) }
            context.pool.parallelFor(weights.count) { index in
                let contribution = weights[index].handOn()
                contribution.withUnsafeBufferPointer {
                    all[index].pointer.update(from: $0.baseAddress!, count: $0.count)
                }
                weights[index].matrix.gradient.fill(0)
            }
            // All ranks draw the same.
            guard shared.isTrained, !isMasked(weights[0]) else { continue }
            let counted = weights.indices.filter {
                switch weights[$0].matrix.placement {
                case .expert: true
                case .copiedExpert: group.rank < partSize
                case .replicated: group.rank == 0
                }
            }
            let contributions = counted.map { all[$0] }
            let ids = try group.allGather(varying: counted.map { Int64(weights[$0].expert) })
            let places = ids.joined().enumerated().sorted { $0.element < $1.element }.map(\.offset)
            let steps = places.dropFirst().map { ReductionOrder.Step(target: places[0], other: $0) }
            let reduction = ReductionOrder(counts: ids.map(\.count), steps: steps, result: places[0])
            let sum = context.uninitialized(1, shared.count)
            try group.startAllReduce(contributions.map(\.buffer), .sum, order: reduction, into: sum.buffer).wait()
            let (target, source) = (shared.gradient.pointer, sum.pointer)
            for index in 0..<sum.count { target[index] += source[index] }
        }
    }
}
