import Autograd
import NeuralLayers

/// A network that every row of a block passes once, before its strata: their experts read what it makes of the rows, whichever
/// gates send them there, and gates read what they read anyway.
public protocol EntryNetwork {
    /// x [T, d] and h = LayerNorm(x) → the rows that strata add to, and those that experts read, [T, d] each.
    func callAsFunction(_ x: Variable, h: Variable, _ pass: ForwardPass) -> (rows: Variable, read: Variable)
}

/// A method that puts a network before a block's experts. It is outside of everything that surrounds the experts.
public protocol EntryMethod: MixtureMethod {
    /// The block's network; nil where the configuration makes no use of the method.
    func entry(of block: BlockSite, store: ParameterStore) -> (any EntryNetwork)?
    /// An estimate of the floats per token that the network keeps between forward and backward; `hidden` of them are those of a
    /// feed-forward network's hidden layer.
    func keptFloats(dim: Int, hidden: Int) -> Int
}
