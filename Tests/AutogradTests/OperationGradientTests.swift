import Autograd
import TensorCore
import Testing
import _TestSupport

/// Each operation's backward rule against central differences, for every input and every parameter.
@Suite struct OperationGradientTests {
    private let context = ComputeContext(threads: 2)
    private let dropout = DropoutMask(probability: 0.3, key: RandomKey(seed: 3))

    /// A store of weights and vectors with the given extents, their values normal.
    private func parameters(_ extents: [(rows: Int, columns: Int)]) -> [Parameter] {
        let store = ParameterStore()
        let parameters = extents.enumerated().map { index, extent in
            store.add(
                Parameter(
                    weights: ["p\(index)"], outputsEach: extent.rows, inputs: extent.columns,
                    initializer: .normal(deviation: 0.5)))
        }
        store.materialize(context, seed: 6)
        return parameters
    }

    /// The operation's result is weighted with fixed random numbers to make an objective; gradients come from the tape, to
    /// which inputs are leaves that hand their gradient out. Parameters' gradients start from 1, which must stay in them.
    private func check(
        inputs: [Tensor], parameters: [Parameter] = [], sourceLocation: SourceLocation = #_sourceLocation,
        _ operation: (Tape, [Variable]) -> Variable
    ) throws {
        func leaves(_ tape: Tape, _ received: @escaping (Int, Tensor) -> Void = { _, _ in }) -> [Variable] {
            inputs.enumerated().map { index, input in tape.record(context.copy(input), parameters: []) { received(index, $0) } }
        }
        func run(_ tape: Tape) -> Variable { operation(tape, leaves(tape)) }
        let plain = run(Tape(context, recording: false)).value
        let weights = context.normal(
            plain.rows, plain.columns, seed: 77, deviation: 1 / Float(max(plain.count, 1)).squareRoot())
        func objective() -> Double {
            let out = run(Tape(context, recording: false)).value
            return zip(out.elements, weights.elements).reduce(0) { $0 + Double($1.0) * Double($1.1) }
        }

        for parameter in parameters { parameter.gradient.fill(1) }
        var gradients: [Int: Tensor] = [:]
        let tape = Tape(context, recording: true)
        let out = operation(tape, leaves(tape) { gradients[$0] = context.copy($1) })
        #expect(out.value.bits == plain.bits, "recording changes nothing", sourceLocation: sourceLocation)
        out.receive(context.copy(weights), context)
        try tape.backward()

        for (index, input) in inputs.enumerated() {
            let gradient = try #require(gradients[index], sourceLocation: sourceLocation)
            let deviation = FiniteDifference.deviation(of: gradient, at: input, objective: objective)
            #expect(deviation < 3e-3, "input \(index)", sourceLocation: sourceLocation)
        }
        for (index, parameter) in parameters.enumerated() {
            let gradient = context.copy(parameter.gradient)
            for i in 0..<gradient.count { gradient.pointer[i] -= 1 }
            let deviation = FiniteDifference.deviation(of: gradient, at: parameter.value, objective: objective)
            #expect(deviation < 3e-3, "parameter \(index)", sourceLocation: sourceLocation)
        }
    }

    @Test(arguments: [1, 7, 33]) func linear(inputs: Int) throws {
        let p = parameters([(5, inputs), (1, 5)]), x = context.normal(4, inputs, seed: 1)
        try check(inputs: [x], parameters: p) { $0.linear($1[0], weight: p[0], bias: p[1]) }
        try check(inputs: [x], parameters: [p[0]]) { $0.linear($1[0], weight: p[0], bias: nil) }
    }

    @Test(arguments: [7, 24, 33]) func layerNorm(width: Int) throws {
        let p = parameters([(1, width), (1, width)])
        try check(inputs: [context.normal(5, width, seed: 1)], parameters: p) { $0.layerNorm($1[0], gain: p[0], bias: p[1]) }
    }

    @Test(arguments: [5, 32]) func feedForward(width: Int) throws {
        let p = parameters([(9, width), (1, 9), (width, 9)])
        // Far from the rectifier's kink, where a difference across it is no derivative.
        let x = context.normal(3, width, seed: 1)
        for i in 0..<9 { p[1].value.pointer[i] = i % 2 == 0 ? 20 : -20 }
        try check(inputs: [x], parameters: p) { $0.feedForward($1[0], weight1: p[0], bias1: p[1], weight2: p[2]) }
    }

    @Test(arguments: [7, 40]) func residualDropout(width: Int) throws {
        let p = parameters([(1, width)]), inputs = [context.normal(4, width, seed: 1), context.normal(4, width, seed: 2)]
        for mask in [dropout, .none] {
            try check(inputs: inputs, parameters: p) {
                $0.residualDropout(residual: $1[0], y: $1[1], bias: p[0], mask: mask)
            }
            try check(inputs: inputs) { $0.residualDropout(residual: $1[0], y: $1[1], bias: nil, mask: mask) }
        }
    }

    @Test(arguments: [6, 40]) func embedding(width: Int) throws {
        let p = parameters([(5, width)]), tokens: [Int32] = [3, 0, 3, 4, 1, 3], segments = Segments(lengths: [2, 4])
        let table = EmbeddingKernel.sinusoids(context, length: 8, dim: width)
        for mask in [dropout, .none] {
            try check(inputs: [], parameters: p) { tape, _ in
                tape.embedding(tokens: tokens, segments: segments, weight: p[0], sinusoids: table, mask: mask)
            }
        }
    }

    @Test(arguments: [false, true]) func selfAttention(causal: Bool) throws {
        for mask in [dropout, .none] {
            try check(inputs: [context.normal(9, 3 * 14, seed: 1)]) {
                $0.selfAttention($1[0], heads: 2, segments: Segments(lengths: [4, 1, 4]), causal: causal, mask: mask)
            }
        }
    }

    @Test func crossAttention() throws {
        let (queries, keys) = (Segments(lengths: [3, 1, 2]), Segments(lengths: [2, 5, 1]))
        for mask in [dropout, .none] {
            try check(inputs: [context.normal(6, 14, seed: 1), context.normal(8, 28, seed: 2)]) {
                $0.crossAttention(
                    queries: $1[0], keysAndValues: $1[1], heads: 2, querySegments: queries, keySegments: keys, mask: mask)
            }
        }
    }

    @Test func aVariableUsedTwiceGetsTheSum() throws {
        let p = parameters([(6, 6), (1, 6), (1, 6), (1, 6)])
        try check(inputs: [context.normal(4, 6, seed: 1)], parameters: p) { tape, inputs in
            let x = inputs[0], h = tape.layerNorm(x, gain: p[1], bias: p[2])
            let y = tape.linear(h, weight: p[0], bias: p[3])
            let z = tape.residualDropout(residual: x, y: y, bias: nil, mask: dropout)
            return tape.residualDropout(residual: z, y: tape.linear(z, weight: p[0], bias: nil), bias: p[3], mask: .none)
        }
    }

    @Test func theLossOfTheOutput() throws {
        let p = parameters([(11, 6), (6, 6)]), x = context.normal(5, 6, seed: 1), targets: [Int32] = [3, 0, 10, 3, 7]
        func loss(_ tape: Tape, _ leaf: Variable) -> OutputLoss {
            tape.outputLoss(
                tape.linear(leaf, weight: p[1], bias: nil), weight: p[0], targets: targets, smoothing: 0.1, gradientScale: 0.25)
        }
        let silent = Tape(context, recording: false)
        let plain = loss(silent, Variable(x))
        for parameter in p { parameter.gradient.fill(1) }
        var dx: Tensor?
        let tape = Tape(context, recording: true)
        #expect(loss(tape, tape.record(context.copy(x), parameters: []) { dx = $0 }) == plain)
        try tape.backward()
        func objective() -> Double { loss(silent, Variable(x)).smoothed / 4 }
        #expect(FiniteDifference.deviation(of: try #require(dx), at: x, objective: objective) < 3e-3)
        for parameter in p {
            let gradient = context.copy(parameter.gradient)
            for i in 0..<gradient.count { gradient.pointer[i] -= 1 }
            #expect(FiniteDifference.deviation(of: gradient, at: parameter.value, objective: objective) < 3e-3)
        }
    }
}
