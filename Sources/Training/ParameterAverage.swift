import Autograd
import TensorCore

/// The exponential moving average of parameters: after every update that is applied, average += (1 − decay) (value − average). While
/// there are few updates the decay is less, (1 + n) / (10 + n) after n of them, so that the beginning is soon forgotten.
///
/// A rank averages the elements that its optimizer updates: all that it holds, or where that is sharded its share.
public final class ParameterAverage {
    public let decay: Float
    private let store: ParameterStore
    private let optimizer: Adam
    private let context: ComputeContext
    private let averages: ByPlacement<Tensor>

    /// Begins at the parameters as they are.
    public init(of store: ParameterStore, optimizer: Adam, decay: Float, context: ComputeContext) {
        self.decay = decay
        self.store = store
        self.optimizer = optimizer
        self.context = context
        averages = ByPlacement { context.uninitialized(1, optimizer.share($0).count) }
        restart()
    }

    /// Begins at the parameters as they are now.
    public func restart() {
        for placement in ParameterPlacement.allCases {
            let values = store.section(placement).values.buffer[optimizer.share(placement)]
            _ = averages[placement].buffer.update(fromContentsOf: values)
        }
    }

    /// Begins with elements of a section at the parameters as they are now.
    func restart(_ elements: Range<Int>, _ placement: ParameterPlacement) {
        let (average, value, _) = pointers(placement), share = optimizer.share(placement)
        for element in elements.clamped(to: share) {
            average[element - share.lowerBound] = value[element - share.lowerBound]
        }
    }

    /// [1, n]: the average of the elements that the optimizer's share of a section has.
    public func values(_ placement: ParameterPlacement) -> Tensor { averages[placement] }

    /// Takes in the parameters after the `applied`-th update, from 1.
    func update(applied: Int) {
        let step = 1 - min(decay, Float(1 + applied) / Float(10 + applied))
        for placement in ParameterPlacement.allCases {
            let (average, value, count) = pointers(placement)
            context.pool.parallelRanges(count, grain: 1 << 15) { range in
                for index in range { average[index] += step * (value[index] - average[index]) }
            }
        }
    }

    /// Puts the average in the parameters' place, and them in its own; done again, all is as before. Of a sharded optimizer's
    /// parameters, the other ranks' shares are then to be gathered.
    func exchange() {
        for placement in ParameterPlacement.allCases {
            let (average, value, count) = pointers(placement)
            context.pool.parallelRanges(count, grain: 1 << 15) { range in
                for index in range { (average[index], value[index]) = (value[index], average[index]) }
            }
        }
    }

    private func pointers(
        _ placement: ParameterPlacement
    ) -> (average: UnsafeMutablePointer<Float>, value: UnsafeMutablePointer<Float>, count: Int) {
        let share = optimizer.share(placement)
        return (values(placement).pointer, store.section(placement).values.pointer + share.lowerBound, share.count)
    }
}
