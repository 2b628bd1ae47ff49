import Autograd
import MixtureOfExperts
import NeuralLayers

/// What follows attention in a layer: a dense feed-forward network, or a stratified mixture of experts in its place.
enum FeedForwardSublayer {
    case dense(norm: LayerNorm, network: FeedForward, dropout: Float)
    case mixture(StratifiedBlock)

    /// `dispatcher` nil: the layer's network is dense.
    init(
        layer name: String, configuration: ModelConfiguration, dispatcher: (any TokenDispatcher)?, store: ParameterStore
    ) {
        if let mixture = configuration.mixture(ofBlock: name), let dispatcher {
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

    /// x [T, d] → x + the network's contribution.
    func callAsFunction(_ x: Variable, _ pass: ForwardPass) throws -> Variable {
        switch self {
        case let .dense(norm, network, dropout):
            let h = norm(x, pass)
            if pass.keepsRows { pass.report(LayerRows(rows: h.value)) }
            return network(h, addedTo: x, pass, mask: pass.dropout(dropout, purpose: .residual))
        case .mixture(let block):
            return try block(x, pass)
        }
    }
}
