import Autograd
import TensorCore

/// What a forward pass of one token group carries along: the tape, and the key that all its random draws are derived from.
public struct ForwardPass {
    public let tape: Tape
    /// Whether dropout and noisy routing are on.
    public let isTraining: Bool
    /// Derived from (seed, update, group), then from the layer: never from a rank.
    public private(set) var key: RandomKey
    /// Whether mixtures report every gate's decision, for analyses; the probabilities of all gates then stay in memory.
    public var keepsDecisions = false

    public init(tape: Tape, isTraining: Bool, key: RandomKey) {
        self.tape = tape
        self.isTraining = isTraining
        self.key = key
    }

    public var context: ComputeContext { tape.context }

    /// The pass as a part of the model sees it, with random draws of its own.
    public func within(_ part: Int) -> ForwardPass {
        var inner = self
        inner.key = key.derived(part)
        return inner
    }

    /// The mask of a dropout of this pass; `purpose` tells the dropouts of a layer apart.
    public func dropout(_ probability: Float, purpose: RandomPurpose) -> DropoutMask {
        guard isTraining, probability > 0 else { return .none }
        return DropoutMask(probability: probability, key: key.derived(purpose.rawValue))
    }
}

/// What a random draw within a layer is for.
public enum RandomPurpose: Int, Sendable {
    case embedding = 1, attention, residual, secondExpert, expertOutput, expertMasking, sharedExpert, conditionalGate
    case gatingDropout
}
