import Autograd
import TensorCore
import Testing

@Suite struct ParameterStoreTests {
    private let context = ComputeContext()

    private func sample() -> (ParameterStore, [Parameter]) {
        let store = ParameterStore()
        let parameters = [
            store.add(
                Parameter(
                    weights: ["q.weight", "k.weight"], outputsEach: 3, inputs: 5, initializer: .xavier(inputs: 5, outputs: 3))),
            store.add(Parameter(vectors: ["q.bias", "k.bias"], countEach: 3, initializer: .constant(0.5))),
            store.add(
                Parameter(
                    weights: ["experts.1.fc1"], outputsEach: 4, inputs: 5, placement: .expert,
                    initializer: .normal(deviation: 2))),
            store.add(Parameter(vectors: ["norm"], countEach: 17, initializer: .constant(1))),
        ]
        return (store, parameters)
    }

    @Test func locationsCoverEveryElementOnce() {
        let (store, parameters) = sample()
        store.materialize(context, seed: 1)
        #expect(store.count == 30 + 6 + 20 + 17)
        #expect(store.locations(.replicated).map(\.slice.name) == ["q.weight", "k.weight", "q.bias", "k.bias", "norm"])
        #expect(store.locations(.expert).map(\.slice.name) == ["experts.1.fc1"])
        var covered = 0
        for placement in ParameterPlacement.allCases {
            let section = store.section(placement)
            var end = 0
            for location in store.locations(placement) {
                #expect(location.range.lowerBound >= end && location.range.upperBound <= section.values.count)
                #expect(location.range.count == location.slice.shape.reduce(1, *))
                end = location.range.upperBound
                covered += location.range.count
            }
            #expect(section.gradients.count == section.values.count)
            #expect(section.gradients.elements.allSatisfy { $0 == 0 })
        }
        #expect(covered == store.count)
        // What a location says is what the parameter sees.
        let location = store.locations(.replicated)[1], section = store.section(.replicated)
        section.values.pointer[location.range.lowerBound] = 123
        section.gradients.pointer[location.range.upperBound - 1] = 456
        #expect(parameters[0].value[3, 0] == 123 && parameters[0].gradient[5, 4] == 456)
    }

    @Test func whatIsAddedOnTheWayIsCollected() {
        let store = ParameterStore()
        func vector(_ name: String) -> Parameter {
            store.add(Parameter(vectors: [name], countEach: 1, initializer: .constant(0)))
        }
        _ = vector("before")
        let ((inner, result), all) = store.collect {
            _ = vector("first")
            let (_, inner) = store.collect { _ = vector("second") }
            return (inner, 3)
        }
        _ = vector("after")
        #expect(all.map { $0.slices[0].name } == ["first", "second"] && result == 3)
        #expect(inner.map { $0.slices[0].name } == ["second"])
        #expect(store.collect {}.1.isEmpty)
    }

    @Test func parametersBeginOnACacheLine() {
        let (store, parameters) = sample()
        store.materialize(context, seed: 1)
        for parameter in parameters { #expect(parameter.value.offset % 16 == 0 && parameter.gradient.offset % 16 == 0) }
    }

    @Test func initialValuesDependOnNameAndSeedAlone() {
        let (store, parameters) = sample()
        store.materialize(context, seed: 7)
        let alone = ParameterStore()
        let expert = alone.add(
            Parameter(
                weights: ["experts.1.fc1"], outputsEach: 4, inputs: 5, placement: .expert, initializer: .normal(deviation: 2)))
        let key = alone.add(
            Parameter(
                weights: ["k.weight"], outputsEach: 3, inputs: 5, initializer: .xavier(inputs: 5, outputs: 3)))
        alone.materialize(ComputeContext(threads: 3), seed: 7)
        #expect(expert.value.elements == parameters[2].value.elements)
        #expect(key.value.elements == parameters[0].value.rows(3..<6).elements)
        #expect(parameters[0].value.rows(0..<3).elements != parameters[0].value.rows(3..<6).elements)

        let (other, others) = sample()
        other.materialize(context, seed: 8)
        #expect(others[2].value.elements != parameters[2].value.elements)
    }

    @Test func initializersFollowTheirDistributions() {
        let store = ParameterStore()
        let uniform = store.add(
            Parameter(
                weights: ["u"], outputsEach: 100, inputs: 200, initializer: .xavier(inputs: 200, outputs: 100, gain: 0.5)))
        let normal = store.add(Parameter(weights: ["n"], outputsEach: 100, inputs: 200, initializer: .normal(deviation: 0.1)))
        let constant = store.add(Parameter(vectors: ["c"], countEach: 9, initializer: .constant(3)))
        store.materialize(context, seed: 1)
        func variance(_ tensor: Tensor) -> Double {
            tensor.elements.reduce(0.0) { $0 + Double($1) * Double($1) } / Double(tensor.count)
        }
        let bound = 0.5 * (6.0 / 300).squareRoot()
        #expect(uniform.value.elements.allSatisfy { abs(Double($0)) <= bound })
        #expect(abs(variance(uniform.value) / (bound * bound / 3) - 1) < 0.03)
        #expect(abs(variance(normal.value) / 0.01 - 1) < 0.03)
        #expect(constant.value.elements == Array(repeating: 3, count: 9))
    }

    @Test func anEmptyStore() {
        let store = ParameterStore()
        store.materialize(context, seed: 1)
        #expect(store.count == 0 && store.locations(.expert).isEmpty && store.section(.replicated).values.count == 0)
    }
}
