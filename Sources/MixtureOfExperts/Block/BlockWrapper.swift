import Autograd
import NeuralLayers

/// What surrounds a block's experts. A wrapper may compute beside them, change what they read, or leave them out; but every rank
/// enters them for every token group, if need be with no rows: ranks meet there.
public protocol BlockWrapper {
    /// The experts of a block: rows x [T, d] and what the first stratum reads of them, h [T, d] → x + the experts' contributions.
    /// Where a wrapper cuts rows into H parts, those within see [T H, d / H].
    typealias Inner = (_ x: Variable, _ h: Variable) throws -> Variable

    /// x [T, d] and h = LayerNorm(x) → the block's result [T, d], and figures of the wrapper's own, always the same names.
    func callAsFunction(
        _ x: Variable, h: Variable, _ pass: ForwardPass, inner: Inner
    ) throws -> (output: Variable, figures: [BlockFigure])
}

/// A method that puts something around a block's experts. Of several, the first in the configuration's list is innermost.
public protocol WrappingMethod: MixtureMethod {
    /// The block's wrapper; nil where the configuration makes no use of the method.
    func wrapper(of block: BlockSite, store: ParameterStore) -> (any BlockWrapper)?
    /// The rows that the experts see for a row of the block: it is cut into so many parts of equal width.
    var rowsPerToken: Int { get }
    /// An estimate of the floats per token that the wrapper keeps between forward and backward; `hidden` of them are those of a
    /// feed-forward network's hidden layer.
    func keptFloats(dim: Int, hidden: Int) -> Int
}

extension WrappingMethod {
    public var rowsPerToken: Int { 1 }
}
