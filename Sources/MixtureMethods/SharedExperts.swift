import Autograd
import ConfigurationForms
import MixtureOfExperts
import NeuralLayers

/// Shared experts ("DeepSeekMoE", arXiv 2401.06066): networks beside the experts that every token takes. Parameters
/// `<block>.shared_experts.{j}.{fc1,fc2}.*`.
public struct SharedExperts: WrappingMethod {
    public var count = 0

    public init() {}

    public static var fields: [ConfigurationField<Self>] {
        [.init("shared_experts", \.count, .integer(0...64), isWritten: { $0.count != 0 })]
    }

    public func addition(to configuration: MixtureConfiguration) -> String? {
        count > 0 ? "shared experts (\(count))" : nil
    }

    public func wrapper(of block: BlockSite, store: ParameterStore) -> (any BlockWrapper)? {
        count > 0 ? SharedNetworks(block, count: count, store: store) : nil
    }

    /// Each network keeps its hidden layer and its output.
    public func keptFloats(dim: Int, hidden: Int) -> Int { count * (hidden + dim) }
}

private struct SharedNetworks: BlockWrapper {
    let networks: [FeedForward]
    let block: BlockSite

    init(_ block: BlockSite, count: Int, store: ParameterStore) {
        self.block = block
        networks = (0..<count).map {
            FeedForward(name: "\(block.name).shared_experts.\($0)", dim: block.dim, ffnDim: block.ffnDim, store: store)
        }
    }

    func callAsFunction(
        _ x: Variable, h: Variable, _ pass: ForwardPass, inner: Inner
    ) throws -> (output: Variable, figures: [BlockFigure]) {
        let output = networks.enumerated().reduce(try inner(x, h)) { sum, next in
            // Numbered after the strata, which have numbers of their own.
            let mask = pass.within(block.configuration.strata.count + next.offset)
                .dropout(block.dropout, purpose: .sharedExpert)
            return next.element(h, addedTo: sum, pass, mask: mask)
        }
        return (output, [])
    }
}

extension RandomPurpose {
    fileprivate static let sharedExpert = RandomPurpose(number: 7)
}
