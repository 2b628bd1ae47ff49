import Autograd
import TensorCore

/// Adam over those of a rank's parameters that are trained or, sharded, over this rank's share of those that it holds in common
/// with others (the first stage of ZeRO): the values of the other shares are then for the other ranks to bring. Moments exist for
/// the share alone.
public final class Adam {
    public let beta1: Float
    public let beta2: Float
    public let epsilon: Float
    /// What matrices shrink by in an update, times the learning rate (AdamW, Loshchilov and Hutter 2019).
    public let weightDecay: Float
    /// Whether shares are less than what the ranks hold.
    public let isSharded: Bool
    private let store: ParameterStore
    private let context: ComputeContext
    private let parts: ByPlacement<Part>

    /// First and second moments of a share, each [1, n].
    public struct Moments {
        public let first: Tensor
        public let second: Tensor
    }

    private struct Part {
        let share: Range<Int>
        let moments: Moments
    }

    /// `groups`, if given, are those whose ranks share the work: the world that of dense parameters, replicas their experts'.
    public init(
        store: ParameterStore, context: ComputeContext, beta1: Float, beta2: Float, epsilon: Float, weightDecay: Float = 0,
        shardedOver groups: ParallelGroups? = nil
    ) {
        self.store = store
        self.context = context
        self.beta1 = beta1
        self.beta2 = beta2
        self.epsilon = epsilon
        self.weightDecay = weightDecay
        isSharded = groups != nil
        parts = ByPlacement { placement in
            let count = store.section(placement).trained, holders = groups?.holders(placement)
            let share = holders.map { ParameterShares(of: store, placement, over: $0.size).ranges[$0.rank] } ?? 0..<count
            return Part(
                share: share,
                moments: Moments(first: context.zeros(1, share.count), second: context.zeros(1, share.count)))
        }
    }

    /// With the settings of another, and moments of 0.
    convenience init(store: ParameterStore, like other: Adam, shardedOver groups: ParallelGroups) {
        self.init(
            store: store, context: other.context, beta1: other.beta1, beta2: other.beta2, epsilon: other.epsilon,
            weightDecay: other.weightDecay, shardedOver: other.isSharded ? groups : nil)
    }

    /// Begins anew with elements of a section: of what they were there are no moments.
    func forget(_ elements: Range<Int>, _ placement: ParameterPlacement) {
        let share = share(placement), moments = moments(placement), held = elements.clamped(to: share)
        for element in held {
            moments.first.pointer[element - share.lowerBound] = 0
            moments.second.pointer[element - share.lowerBound] = 0
        }
    }

    /// The elements of a section that this rank updates and has moments for: all of them unless it is sharded.
    public func share(_ placement: ParameterPlacement) -> Range<Int> { parts[placement].share }

    /// The moments of `share(placement)`, which begin with its first element's.
    public func moments(_ placement: ParameterPlacement) -> Moments { parts[placement].moments }

    /// Shrinks the matrices of the share. Biases, and the scales and shifts of norms, stay: what is to be small is what multiplies.
    private func decay(_ learningRate: Float, leavingOut left: Set<String>) {
        guard weightDecay > 0 else { return }
        let factor = 1 - learningRate * weightDecay
        for placement in ParameterPlacement.allCases {
            let values = store.section(placement).values.pointer, share = share(placement)
            for location in store.locations(placement)
            where !left.contains(location.slice.name) && location.slice.shape.count >= 2 {
                let range = location.range.clamped(to: share), first = values + range.lowerBound
                context.pool.parallelRanges(range.count, grain: 1 << 15) { part in
                    for index in part { first[index] *= factor }
                }
            }
        }
    }

    /// Update number `update`, from 1, of those that the moments have seen: skipped ones do not count. Gradients are multiplied
    /// by `gradientScale` first, and all are zero afterwards. Parameters that are left out stay, with their moments.
    public func step(update: Int, learningRate: Float, gradientScale: Float, leavingOut left: [Parameter] = []) {
        let step = AdamKernel.Step(
            update: update, learningRate: learningRate, beta1: beta1, beta2: beta2, epsilon: epsilon,
            gradientScale: gradientScale)
        decay(learningRate, leavingOut: Set(left.map { $0.slices[0].name }))
        for placement in ParameterPlacement.allCases {
            let section = store.section(placement), share = share(placement), moments = moments(placement)
            let gradients = section.gradients.buffer
            let gaps = left.filter { $0.placement == placement }.map { $0.elements.clamped(to: share) }
            for part in share.without(gaps) {
                let own = part.lowerBound - share.lowerBound..<part.upperBound - share.lowerBound
                AdamKernel.update(
                    context, step, values: .init(rebasing: section.values.buffer[part]),
                    gradients: .init(rebasing: gradients[part]), firstMoments: .init(rebasing: moments.first.buffer[own]),
                    secondMoments: .init(rebasing: moments.second.buffer[own]))
            }
            for gap in gaps { gradients[gap].update(repeating: 0) }
            gradients[..<share.lowerBound].update(repeating: 0)
            gradients[share.upperBound...].update(repeating: 0)
        }
    }
}

extension Range where Bound == Int {
    /// What is left without `gaps`, in order.
    fileprivate func without(_ gaps: [Range<Int>]) -> [Range<Int>] {
        var parts: [Range<Int>] = [], start = lowerBound
        for gap in Set(gaps).sorted(by: { $0.lowerBound < $1.lowerBound }) where !gap.isEmpty {
            if gap.lowerBound > start { parts.append(start..<gap.lowerBound) }
            start = gap.upperBound
        }
        if start < upperBound || parts.isEmpty && isEmpty { parts.append(start..<upperBound) }
        return parts
    }
}
