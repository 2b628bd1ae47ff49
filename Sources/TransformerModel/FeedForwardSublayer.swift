import Autograd
import MixtureOfExperts
import NeuralLayers

/// What follows attention in a layer: a dense feed-forward network, or a stratified mixture of experts in its place.
enum FeedForwardSublayer {
    case dense(norm: LayerNorm, network: FeedForward, dropout: Float)
    case mixture(StratifiedBlock)

    init(
        layer name: String, index: Int, configuration: ModelConfiguration, dispatcher: AllToAllTokenDispatcher?,
        store: ParameterStore
    ) {
        if let mixture = configuration.mixture, let dispatcher, (index + 1) % mixture.every == 0 {
            self = .mixture(
                StratifiedBlock(
                    name: "\(name).moe", configuration: mixture, dim: configuration.dim, ffnDim: configuration.ffnDim,
                    dropout: configuration.dropout, dispatcher: dispatcher, store: store))
        } else {
            self = .dense(
                norm: LayerNorm(name: "\(name).ffn_norm", dim: configuration.dim, store: store),
                network: FeedForward(name: "\(name).ffn", dim: configuration.dim, ffnDim: configuration.ffnDim, store: store),
                dropout: configuration.dropout)
        }
    }

    var block: StratifiedBlock? {
        if case let .mixture(block) = self { block } else { nil }
    }

    /// x [T, d] → x + the network's contribution; a mixture adds its report.
    func callAsFunction(_ x: Variable, _ pass: ForwardPass, lossScale: Float, reports: inout [BlockReport]) throws -> Variable {
        switch self {
        case let .dense(norm, network, dropout):
            return network(norm(x, pass), addedTo: x, pass, mask: pass.dropout(dropout, purpose: .residual))
        case let .mixture(block):
            let outcome = try block(x, pass, lossScale: lossScale)
            reports.append(BlockReport(outcome, decisions: pass.keepsDecisions ? outcome.decisions : []))
            return outcome.output
        }
    }
}

/// What one mixture block did with one token group, without the tensors.
public struct BlockReport: Sendable {
    public let loadBalancingLoss: Float
    /// The budget loss of conditional routing; 0 without.
    public let budgetLoss: Float
    /// The mean of conditional routing's gates; 0 without.
    public let conditionalGateMean: Float
    public let zLoss: Float
    public let statistics: RoutingStatistics
    /// By gate, if the pass keeps them.
    public let decisions: [RoutingDecision]

    init(_ outcome: StratifiedBlock.Outcome, decisions: [RoutingDecision]) {
        self.decisions = decisions
        loadBalancingLoss = outcome.loadBalancingLoss
        budgetLoss = outcome.budgetLoss
        conditionalGateMean = outcome.conditionalGateMean
        zLoss = outcome.zLoss
        statistics = outcome.statistics
    }
}
