import Autograd
import ConfigurationForms
import MixtureOfExperts
import NeuralLayers

/// Gating dropout (arXiv 2205.14336, the variant that drops gate and expert): in training a token group passes a block without its
/// gates and experts with a probability. Drawn for the whole group, so that the number of ranks does not matter.
public struct GatingDropout: WrappingMethod {
    /// The probability that a token group passes a block by; 0: none does.
    public var probability: Float = 0

    public init() {}

    public static var fields: [ConfigurationField<Self>] {
        [.init("gating_dropout", \.probability, .number(.from(0, below: 1)), isWritten: { $0.probability != 0 })]
    }

    public func addition(to configuration: MixtureConfiguration) -> String? { probability > 0 ? "gating dropout" : nil }

    public func wrapper(of block: BlockSite, store: ParameterStore) -> (any BlockWrapper)? {
        probability > 0 ? Omission(probability: probability) : nil
    }

    public func keptFloats(dim: Int, hidden: Int) -> Int { 0 }
}

private struct Omission: BlockWrapper {
    let probability: Float

    func callAsFunction(
        _ x: Variable, h: Variable, _ pass: ForwardPass, inner: Inner
    ) throws -> (output: Variable, figures: [BlockFigure]) {
        guard pass.isTraining, pass.key.derived(.gatingDropout).uniform(0) < probability else { return (try inner(x, h), []) }
        // Ranks whose token groups are not left out meet this one in the experts.
        let none = Variable(pass.context.uninitialized(0, x.columns))
        _ = try inner(none, none)
        return (x, [])
    }
}

extension RandomPurpose {
    fileprivate static let gatingDropout = RandomPurpose(number: 9)
}
