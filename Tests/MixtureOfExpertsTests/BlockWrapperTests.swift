import Autograd
import Collectives
import MixtureOfExperts
import NeuralLayers
import TensorCore
import Testing
import _TestSupport

/// What methods put around a block's experts.
@Suite struct BlockWrapperTests {
    /// Doubles what is inside.
    private struct Doubling: WrappingMethod, BlockWrapper {
        func wrapper(of block: BlockSite, store: ParameterStore) -> (any BlockWrapper)? { self }
        func keptFloats(dim: Int, hidden: Int) -> Int { 0 }

        func callAsFunction(
            _ x: Variable, h: Variable, _ pass: ForwardPass, inner: Inner
        ) throws -> (output: Variable, figures: [BlockFigure]) {
            let mixture = try inner(x, h), context = pass.context
            let output = context.copy(mixture.value)
            Elementwise.add(context, mixture.value, to: output)
            let result = pass.tape.record(output, parameters: []) { gradient in
                let doubled = context.copy(gradient)
                Elementwise.add(context, gradient, to: doubled)
                mixture.receive(doubled, context)
            }
            return (result, [BlockFigure("doubled", 1), BlockFigure("rows", Float(x.rows), combination: .sum)])
        }
    }

    /// Adds 1, and a parameter of its own, to every element of what is inside.
    private struct Adding: WrappingMethod {
        var isOn = true

        func wrapper(of block: BlockSite, store: ParameterStore) -> (any BlockWrapper)? {
            isOn ? Addition(block, store) : nil
        }
        func keptFloats(dim: Int, hidden: Int) -> Int { isOn ? dim : 0 }
    }

    private struct Addition: BlockWrapper {
        let amount: Parameter

        init(_ block: BlockSite, _ store: ParameterStore) {
            amount = store.add(
                Parameter(vectors: ["\(block.name).amount"], countEach: block.dim, initializer: .constant(1)))
        }

        func callAsFunction(
            _ x: Variable, h: Variable, _ pass: ForwardPass, inner: Inner
        ) throws -> (output: Variable, figures: [BlockFigure]) {
            let mixture = try inner(x, h), context = pass.context, output = context.copy(mixture.value)
            for row in 0..<output.rows { for column in 0..<output.columns { output[row, column] += amount.value[0, column] } }
            let result = pass.tape.record(output, parameters: [amount]) { gradient in
                for row in 0..<gradient.rows {
                    for column in 0..<gradient.columns { amount.gradient[0, column] += gradient[row, column] }
                }
                mixture.receive(gradient, context)
            }
            return (result, [BlockFigure("added", 2), BlockFigure("rows", Float(x.rows), combination: .sum)])
        }
    }

    private static func configuration(_ wrappers: [any MixtureMethod]) -> MixtureConfiguration {
        MixtureConfiguration(strata: [2, 3], methods: [BestChoice(), TestBalance()] + wrappers)
    }

    @Test func theFirstIsInnermost() throws {
        try alone { communicator in
            let plain = try TinyBlock(Self.configuration([]), group: communicator), x = plain.tokens(7, seed: 1)
            let inside = try plain.forward(x).elements
            func outcome(_ wrappers: [any MixtureMethod]) throws -> TinyBlock.Outcome {
                let tiny = try TinyBlock(Self.configuration(wrappers), group: communicator)
                try tiny.fill("amount", 1)
                return try tiny.forward(x)
            }
            let added = try outcome([Adding(), Doubling()]), doubled = try outcome([Doubling(), Adding()])
            try expectClose(added.elements, inside.map { 2 * ($0 + 1) }, tolerance: 1e-6, "adding is inside")
            try expectClose(doubled.elements, inside.map { 2 * $0 + 1 }, tolerance: 1e-6, "doubling is inside")
            // Figures in the order from the inside out: the gates' first, and those of the same name together.
            #expect(added.report.figures.map(\.name) == ["test_balance", "added", "rows", "doubled"])
            #expect(doubled.report.figures.map(\.name) == ["test_balance", "doubled", "rows", "added"])
            #expect(added["rows"] == 14 && added["added"] == 2)
        }
    }

    @Test func aMethodThatIsNotUsedWrapsNothing() throws {
        try alone { communicator in
            var configuration = Self.configuration([Adding()])
            configuration[Adding.self].isOn = false
            let tiny = try TinyBlock(configuration, group: communicator)
            #expect(tiny.store.locations(.replicated).allSatisfy { !$0.slice.name.hasSuffix("amount") })
        }
    }

    @Test func gradientsAgreeWithDifferences() throws {
        try BlockGradients.check(Self.configuration([Adding(), Doubling()]), dropout: 0.1, "adding, doubling")
    }

    @Test(arguments: BlockWorld.few) func manyRanksAreOne(world: BlockWorld) throws {
        var configuration = Self.configuration([Adding(), Doubling()])
        configuration.strata = world.strata
        try world.expectOneRank(configuration)
    }
}
