import Autograd
import TensorCore
import Testing
import Training

/// Adam against the published algorithm written out in double precision, over replicated and expert parameters.
@Suite struct AdamTests {
    /// Kingma and Ba, algorithm 1, for one element.
    private struct Twin {
        var value: Double
        var first = 0.0
        var second = 0.0

        mutating func step(_ update: Int, gradient: Double, rate: Double, scale: Double) {
            let (beta1, beta2, epsilon, gradient) = (0.9, 0.98, 1e-6, gradient * scale)
            var power1 = 1.0, power2 = 1.0
            for _ in 0..<update { (power1, power2) = (power1 * beta1, power2 * beta2) }
            first = beta1 * first + (1 - beta1) * gradient
            second = beta2 * second + (1 - beta2) * gradient * gradient
            value -= rate * (first / (1 - power1)) / ((second / (1 - power2)).squareRoot() + epsilon)
        }
    }

    private func makeStore(_ context: ComputeContext) -> ParameterStore {
        let store = ParameterStore()
        for (name, count, placement) in [
            ("a", 37, ParameterPlacement.replicated), ("b", 5, .replicated), ("c", 19, .expert),
        ] {
            _ = store.add(
                Parameter(
                    vectors: [name], countEach: count, placement: placement, initializer: .normal(deviation: 1)))
        }
        store.materialize(context, seed: 3)
        return store
    }

    @Test func agreesWithTheAlgorithm() {
        let context = ComputeContext(threads: 2), store = makeStore(context)
        let adam = Adam(store: store, context: context, beta1: 0.9, beta2: 0.98, epsilon: 1e-6)
        let key = RandomKey(seed: 5)
        for placement in ParameterPlacement.allCases {
            #expect(adam.moments(placement).first.elements.allSatisfy { $0 == 0 })
        }
        var twins: [String: [Twin]] = [:]
        for location in (store.locations(.replicated) + store.locations(.expert)) {
            twins[location.slice.name] = store.section(location.placement).values.buffer[location.range]
                .map { Twin(value: Double($0)) }
        }
        // A resumed run begins at any update: the correction follows the update's number, not the calls.
        for update in 1...8 {
            let rate = Float(update) * 1e-2, scale: Float = update % 3 == 0 ? 0.05 : 1
            for location in (store.locations(.replicated) + store.locations(.expert)) {
                let gradients = store.section(location.placement).gradients.buffer
                for (index, element) in location.range.enumerated() {
                    let gradient = key.derived(location.slice.name).derived(update).normal(index) * 3
                    gradients[element] = gradient
                    twins[location.slice.name]![index].step(
                        update, gradient: Double(gradient), rate: Double(rate), scale: Double(scale))
                }
            }
            adam.step(update: update, learningRate: rate, gradientScale: scale)
        }
        for location in (store.locations(.replicated) + store.locations(.expert)) {
            let section = store.section(location.placement), moments = adam.moments(location.placement)
            for (twin, element) in zip(twins[location.slice.name]!, location.range) {
                #expect(abs(Double(section.values.buffer[element]) - twin.value) < 1e-5 * max(1, abs(twin.value)))
                #expect(abs(Double(moments.first.buffer[element]) - twin.first) < 1e-5 * max(1, abs(twin.first)))
                #expect(abs(Double(moments.second.buffer[element]) - twin.second) < 1e-5 * max(1, abs(twin.second)))
                #expect(section.gradients.buffer[element] == 0)
            }
        }
    }

    /// AdamW: with no gradient a matrix shrinks by rate × decay, and nothing else changes.
    @Test func weightsDecayApartFromTheirGradients() {
        let context = ComputeContext(threads: 2), store = ParameterStore()
        _ = store.add(Parameter(weights: ["matrix"], outputsEach: 5, inputs: 7, initializer: .normal(deviation: 1)))
        _ = store.add(Parameter(vectors: ["vector"], countEach: 9, initializer: .normal(deviation: 1)))
        store.materialize(context, seed: 3)
        let before = store.section(.replicated).values.elements
        let adam = Adam(store: store, context: context, beta1: 0.9, beta2: 0.98, epsilon: 1e-6, weightDecay: 0.1)
        adam.step(update: 1, learningRate: 0.5, gradientScale: 1)
        for location in store.locations(.replicated) {
            let factor: Float = location.slice.name == "matrix" ? 0.95 : 1
            for element in location.range {
                #expect(abs(store.section(.replicated).values.buffer[element] - factor * before[element]) < 1e-6)
            }
        }
    }
}
