import Autograd
import TensorCore
import Training

/// What a checkpoint keeps of a rank: its parameters, and the moments and averages of those elements that its optimizer covers.
public struct RankState {
    /// One placement's moments, of the section's elements `elements`.
    public struct Moments {
        public let elements: Range<Int>
        /// First moments, [1, elements.count].
        public let first: Tensor
        public let second: Tensor
        /// The parameters' moving average, likewise; nil where none is kept.
        public let average: Tensor?

        public init(elements: Range<Int>, first: Tensor, second: Tensor, average: Tensor? = nil) {
            precondition(first.count == elements.count && second.count == elements.count, "a moment an element")
            precondition(average.map { $0.count == elements.count } ?? true, "an average an element")
            self.average = average
            self.elements = elements
            self.first = first
            self.second = second
        }
    }

    public let store: ParameterStore
    public let moments: ByPlacement<Moments>

    public init(store: ParameterStore, moments: ByPlacement<Moments>) {
        self.store = store
        self.moments = moments
    }

    public init(store: ParameterStore, optimizer: Adam, average: ParameterAverage? = nil) {
        self.init(
            store: store,
            moments: ByPlacement {
                let moments = optimizer.moments($0)
                return Moments(
                    elements: optimizer.share($0), first: moments.first, second: moments.second, average: average?.values($0))
            })
    }
}
