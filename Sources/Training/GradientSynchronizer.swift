import Autograd
import TensorCore

/// Sums gradients over the ranks: dense ones over the world, an expert's over its replicas. Nothing else scales them: the
/// loss is divided once, by the target tokens of the whole update.
public struct GradientSynchronizer {
    private let groups: ParallelGroups
    private let store: ParameterStore
    private let context: ComputeContext

    public init(groups: ParallelGroups, store: ParameterStore, context: ComputeContext) {
        self.groups = groups
        self.store = store
        self.context = context
    }

    public func sum() throws {
        if groups.world.size > 1 { try groups.world.allReduce(store.section(.replicated).gradients.buffer, .sum) }
        if groups.replicas.size > 1 { try groups.replicas.allReduce(store.section(.expert).gradients.buffer, .sum) }
    }

    /// The norm of the whole model's gradient after `sum`: every parameter counts once, whatever the number of copies.
    public func norm() throws -> Double {
        func squares(_ placement: ParameterPlacement) -> Double {
            Elementwise.sumOfSquares(context, UnsafeBufferPointer(store.section(placement).gradients.buffer))
        }
        let experts = try groups.experts.allReduce(squares(.expert), .sum)
        return (squares(.replicated) + experts).squareRoot()
    }
}
