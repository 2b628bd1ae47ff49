import Autograd
import NeuralLayers
import TensorCore
import Testing
import _TestSupport

@testable import MixtureOfExperts

/// The expert of the paper, a piece at a time.
@Suite struct FeedForwardExpertTests {
    private static let dim = 24, width = 70, count = 700
    private let context = ComputeContext()

    private func expert() throws -> (network: FeedForwardExpert, store: ParameterStore) {
        let store = ParameterStore()
        let network = FeedForwardExpert(name: "expert", dim: Self.dim, ffnDim: Self.width, store: store)
        store.materialize(context, seed: 1)
        try store.perturb(seed: 2)
        return (network, store)
    }

    @Test func parametersAreTheExperts() throws {
        let (network, store) = try expert()
        #expect(store.locations(.replicated).isEmpty)
        #expect(
            store.locations(.expert).map(\.slice.name) == [
                "expert.fc1.weight", "expert.fc1.bias", "expert.fc2.weight", "expert.fc2.bias",
            ])
        #expect(network.hiddenWidth == Self.width && network.work == 2 * Self.dim * Self.width)
        #expect(network.gradientRows == [Self.width, Self.dim])
    }

    /// What a group's schedule may do to rows and gradients changes no bit.
    @Test(arguments: [[1, 699], [350, 350], [96, 96, 96, 412], [233, 234, 233]]) func rowsMayBeCutAnyhow(cuts: [Int]) throws {
        let (network, _) = try expert(), d = Self.dim, f = Self.width
        let rows = context.tensor(normalValues(Self.count * d, seed: 3), rows: Self.count, columns: d)
        let doutputs = context.tensor(normalValues(Self.count * d, seed: 4), rows: Self.count, columns: d)
        func run(_ pieces: [Int]) -> [[Float]] {
            let hidden = context.uninitialized(Self.count, f), outputs = context.uninitialized(Self.count, d)
            let dhidden = context.uninitialized(Self.count, f), drows = context.uninitialized(Self.count, d)
            var row = 0
            for count in pieces {
                network.hidden(rows.row(row), count: count, into: hidden.row(row))
                network.outputs(hidden.row(row), count: count, into: outputs.row(row))
                network.backward(
                    doutputs.row(row), hidden: hidden.row(row), count: count, intoHidden: dhidden.row(row),
                    intoRows: drows.row(row))
                row += count
            }
            return [hidden, outputs, dhidden, drows].map(\.elements)
        }
        #expect(run(cuts) == run([Self.count]))
    }

    @Test(arguments: [2, 3, 7]) func gradientsMayBeCutIntoBands(parts: Int) throws {
        func gradients(_ parts: Int) throws -> [String: [Float]] {
            let (network, store) = try expert(), d = Self.dim, f = Self.width
            let rows = context.tensor(normalValues(Self.count * d, seed: 3), rows: Self.count, columns: d)
            let doutputs = context.tensor(normalValues(Self.count * d, seed: 4), rows: Self.count, columns: d)
            let hidden = context.uninitialized(Self.count, f), dhidden = context.uninitialized(Self.count, f)
            let drows = context.uninitialized(Self.count, d)
            network.hidden(rows.pointer, count: Self.count, into: hidden.pointer)
            network.backward(
                doutputs.pointer, hidden: hidden.pointer, count: Self.count, intoHidden: dhidden.pointer,
                intoRows: drows.pointer)
            let pass = ExpertBackward(
                source: 0,
                count: Self.count, rows: rows.pointer, hidden: hidden.pointer, dhidden: dhidden.pointer,
                doutputs: doutputs.pointer)
            defer { withExtendedLifetime((rows, doutputs, hidden, dhidden)) {} }
            for (index, size) in network.gradientRows.enumerated() {
                for part in 0..<parts {
                    network.addGradient(index, band: part * size / parts..<(part + 1) * size / parts, pass)
                }
            }
            return try store.gradients()
        }
        #expect(try gradients(parts) == gradients(1))
    }

    /// The same network as a layer of its own.
    @Test func itIsAFeedForwardNetwork() throws {
        let (network, store) = try expert()
        let x = context.tensor(normalValues(50 * Self.dim, seed: 3), rows: 50, columns: Self.dim)
        let pass = ForwardPass(tape: Tape(context, recording: false), isTraining: false, key: RandomKey(seed: 1))
        let layer = network.network(
            Variable(x), addedTo: Variable(context.zeros(50, Self.dim)), pass, mask: .none)
        let outputs = GroupedExperts([network], dim: Self.dim).forward(context, rows: x, expertRows: [50]).outputs
        try expectClose(outputs.elements, layer.value.elements, tolerance: 1e-6, "outputs")
        #expect(store.count == 2 * Self.dim * Self.width + Self.dim + Self.width)
    }
}
