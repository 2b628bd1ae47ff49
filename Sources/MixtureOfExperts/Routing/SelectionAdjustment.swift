import Autograd
import TensorCore

/// An adjustment of what choices are ordered by at one gate; weights stay those of the scores.
public protocol SelectionAdjustment {
    /// Changes `selection` [T, V], at first the scores, in place; an expert at −∞ may not be chosen.
    func adjust(_ selection: Tensor, _ gate: GateSite)
    /// Moves the adjustment's state after an update: `chosen` [V] is how often the world's tokens chose each visible expert in
    /// it, choices beyond a capacity included.
    func update(chosen: ArraySlice<Int>)
}

extension SelectionAdjustment {
    public func update(chosen: ArraySlice<Int>) {}
}

/// A method that adjusts what choices are ordered by.
public protocol SelectionMethod: MixtureMethod {
    /// The adjustment of a gate; nil where the configuration makes no use of the method.
    func adjustment(of gate: GateSite, store: ParameterStore) -> (any SelectionAdjustment)?
    /// Whether its adjustments have a state that `update` moves.
    var learnsFromLoads: Bool { get }
}
