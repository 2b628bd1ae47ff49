import Autograd
import TensorCore

/// Adam over all parameters of a rank, with its moments in buffers laid out as the parameters'.
public final class Adam {
    public let beta1: Float
    public let beta2: Float
    public let epsilon: Float
    private let store: ParameterStore
    private let context: ComputeContext
    private let replicated: Moments
    private let expert: Moments

    /// First and second moments of one placement's parameters, each [1, n].
    public struct Moments {
        public let first: Tensor
        public let second: Tensor
    }

    public init(store: ParameterStore, context: ComputeContext, beta1: Float, beta2: Float, epsilon: Float) {
        self.store = store
        self.context = context
        self.beta1 = beta1
        self.beta2 = beta2
        self.epsilon = epsilon
        func moments(_ placement: ParameterPlacement) -> Moments {
            let count = store.section(placement).values.count
            return Moments(first: context.zeros(1, count), second: context.zeros(1, count))
        }
        replicated = moments(.replicated)
        expert = moments(.expert)
    }

    public func moments(_ placement: ParameterPlacement) -> Moments { placement == .replicated ? replicated : expert }

    /// Update number `update`, from 1; gradients are multiplied by `gradientScale` first and are zero afterwards.
    public func step(update: Int, learningRate: Float, gradientScale: Float) {
        let step = AdamKernel.Step(
            update: update, learningRate: learningRate, beta1: beta1, beta2: beta2, epsilon: epsilon,
            gradientScale: gradientScale)
        for placement in [ParameterPlacement.replicated, .expert] {
            let section = store.section(placement), moments = moments(placement)
            AdamKernel.update(
                context, step, values: section.values.buffer, gradients: section.gradients.buffer,
                firstMoments: moments.first.buffer, secondMoments: moments.second.buffer)
        }
    }
}
