import Autograd
import TensorCore
import Testing
import _TestSupport

@Suite struct TapeTests {
    private let context = ComputeContext()

    private func variable(_ elements: [Float]) -> Tensor { context.tensor(elements, rows: 1, columns: elements.count) }

    @Test func rulesRunLastFirstAndOnce() throws {
        let tape = Tape(context, recording: true)
        var order: [Int] = []
        for i in 0..<4 { _ = tape.record(variable([0]), parameters: []) { _ in order.append(i) } }
        try tape.backward()
        #expect(order == [3, 2, 1, 0])
        try tape.backward()
        #expect(order == [3, 2, 1, 0])
    }

    /// A parameter of several operations is final after the one recorded first, which is walked back last.
    @Test func progressTellsOfEachFinalGradientOnce() throws {
        let store = ParameterStore()
        let names = ["shared", "twice", "once"]
        let parameters = names.map { store.add(Parameter(vectors: [$0], countEach: 2, initializer: .constant(0))) }
        store.materialize(context, seed: 1)
        let (shared, twice, once) = (parameters[0], parameters[1], parameters[2])
        let tape = Tape(context, recording: true)
        for used in [[shared], [twice, twice], [], [once, shared], [shared]] {
            _ = tape.record(variable([0]), parameters: used) { _ in used.forEach { $0.gradient[0, 0] += 1 } }
        }
        let unused = Parameter(vectors: ["unused"], countEach: 2, initializer: .constant(0))
        #expect(parameters.allSatisfy(tape.addsToGradient) && !tape.addsToGradient(of: unused))
        var steps: [[String]] = []
        try tape.backward { final in
            steps.append(final.map { $0.slices[0].name })
            for parameter in final {
                #expect(parameter.gradient[0, 0] == (parameter === shared ? 3 : parameter === twice ? 2 : 1))
            }
        }
        #expect(steps == [[], ["once"], [], ["twice"], ["shared"]])
        #expect(!parameters.contains(where: tape.addsToGradient))
    }

    @Test func anErrorOfProgressEndsBackward() throws {
        struct Broken: Error {}
        let tape = Tape(context, recording: true)
        var rules = 0
        for _ in 0..<3 { _ = tape.record(variable([0]), parameters: []) { _ in rules += 1 } }
        #expect(throws: Broken.self) { try tape.backward { _ in throw Broken() } }
        #expect(rules == 1)
    }

    /// An operation that communicates still meets its peers.
    @Test func aResultThatNobodyUsesHasZeroGradient() throws {
        let tape = Tape(context, recording: true)
        var received: [Float]?
        _ = tape.record(variable([1, 2, 3]), parameters: []) { received = $0.elements }
        try tape.backward()
        #expect(received == [0, 0, 0])
    }

    @Test func contributionsAddUp() throws {
        let tape = Tape(context, recording: true)
        var received: [Float]?
        let x = tape.record(variable([1, 2]), parameters: []) { received = $0.elements }
        for factor: Float in [1, 10, 100] {
            _ = tape.record(variable([0]), parameters: []) { _ in x.receive(variable([factor, 2 * factor]), context) }
        }
        try tape.backward()
        #expect(received == [111, 222])
    }

    @Test func targetsTellWhetherToAdd() throws {
        let x = Variable(variable([1, 2]))
        let first = x.gradientTarget(context)
        #expect(!first.accumulate)
        first.tensor.fill(5)
        let second = x.gradientTarget(context)
        #expect(second.accumulate && second.tensor.elements == [5, 5])
    }

    /// A kernel that adds to an existing gradient gives the same as one that writes a fresh one, which is then added.
    @Test func kernelsAddToAnExistingGradient() throws {
        let store = ParameterStore()
        let linear = store.add(Parameter(weights: ["w"], outputsEach: 3, inputs: 4, initializer: .normal(deviation: 1)))
        let gain = store.add(Parameter(vectors: ["g"], countEach: 4, initializer: .normal(deviation: 1)))
        let bias = store.add(Parameter(vectors: ["b"], countEach: 4, initializer: .constant(0)))
        store.materialize(context, seed: 1)
        let x = context.normal(5, 4, seed: 2), extra = context.normal(5, 4, seed: 3)
        func gradient(_ operation: (Tape, Variable) -> Variable, extra: Tensor?) throws -> Tensor {
            let tape = Tape(context, recording: true)
            var result: Tensor?
            let input = tape.record(context.copy(x), parameters: []) { result = $0 }
            let out = operation(tape, input)
            out.receive(context.normal(5, out.columns, seed: 4), context)
            // Recorded last, so that its contribution is there first.
            if let extra { _ = tape.record(variable([0]), parameters: []) { _ in input.receive(context.copy(extra), context) } }
            try tape.backward()
            return try #require(result)
        }
        let operations: [(Tape, Variable) -> Variable] = [
            { $0.linear($1, weight: linear, bias: nil) }, { $0.layerNorm($1, gain: gain, bias: bias) },
        ]
        for operation in operations {
            let alone = try gradient(operation, extra: nil), both = try gradient(operation, extra: extra)
            #expect(NaiveKernels.deviation(both, NaiveKernels.Matrix(alone) + NaiveKernels.Matrix(extra)) < 1e-6)
        }
    }

    @Test func withoutRecordingNothingIsSaved() {
        final class Witness {}
        weak var witness: Witness?
        let silent = Tape(context, recording: false), recording = Tape(context, recording: true)
        func record(_ tape: Tape) {
            let captured = Witness()
            witness = captured
            _ = tape.record(variable([1]), parameters: []) { _ in withExtendedLifetime(captured) {} }
        }
        record(silent)
        #expect(witness == nil)
        record(recording)
        #expect(witness != nil)

        // Memory too: the activations of a long chain are given back as it goes.
        let context = ComputeContext(), store = ParameterStore()
        let gain = store.add(Parameter(vectors: ["g"], countEach: 64, initializer: .constant(1)))
        let bias = store.add(Parameter(vectors: ["b"], countEach: 64, initializer: .constant(0)))
        store.materialize(context, seed: 1)
        func peak(recording: Bool) -> Int {
            let tape = Tape(context, recording: recording), before = context.allocator.bytesReserved
            var h = Variable(context.normal(100, 64, seed: 1))
            for _ in 0..<20 { h = tape.layerNorm(h, gain: gain, bias: bias) }
            return context.allocator.bytesReserved - before
        }
        let bytes = 100 * 64 * 4
        #expect(peak(recording: false) < 4 * bytes)
        #expect(peak(recording: true) > 15 * bytes)
    }

    @Test func backwardFreesWhatItHasUsed() throws {
        final class Witness {}
        weak var witness: Witness?
        let tape = Tape(context, recording: true)
        var wasFreed = false
        _ = tape.record(variable([0]), parameters: []) { _ in wasFreed = witness == nil }
        func record() {
            let captured = Witness()
            witness = captured
            _ = tape.record(variable([1]), parameters: []) { _ in withExtendedLifetime(captured) {} }
        }
        record()
        try tape.backward()
        #expect(wasFreed)
    }

    @Test func aRuleMayThrow() {
        struct Broken: Error {}
        let tape = Tape(context, recording: true)
        _ = tape.record(variable([0]), parameters: []) { _ in throw Broken() }
        #expect(throws: Broken.self) { try tape.backward() }
    }

    @Test func noRowsAreFine() throws {
        let store = ParameterStore()
        let wide = store.add(Parameter(weights: ["w"], outputsEach: 18, inputs: 6, initializer: .normal(deviation: 1)))
        let words = store.add(Parameter(weights: ["v"], outputsEach: 3, inputs: 6, initializer: .normal(deviation: 1)))
        let bias = store.add(Parameter(vectors: ["b"], countEach: 6, initializer: .constant(0)))
        store.materialize(context, seed: 1)
        let tape = Tape(context, recording: true), mask = DropoutMask(probability: 0.5, key: RandomKey(seed: 1))
        var reached = false
        let x = tape.record(context.uninitialized(0, 6), parameters: []) { reached = $0.rows == 0 }
        let h = tape.layerNorm(x, gain: bias, bias: bias)
        let mixed = tape.selfAttention(
            tape.linear(h, weight: wide, bias: nil), heads: 2, segments: .none, causal: true, mask: mask)
        let out = tape.residualDropout(residual: x, y: mixed, bias: bias, mask: mask)
        let loss = tape.outputLoss(out, weight: words, targets: [], smoothing: 0.1, gradientScale: 1)
        try tape.backward()
        #expect(reached && loss == OutputLoss())
        for parameter in store.parameters { #expect(parameter.gradient.elements.allSatisfy { $0 == 0 }) }
    }
}
