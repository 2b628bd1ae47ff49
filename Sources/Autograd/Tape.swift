import TensorCore

/// The operations of one forward pass, to be walked back: few and coarse, each with a backward rule written by hand.
///
/// What an operation saves for backward lives in its closure and goes as soon as that has run. A custom operation is any
/// code that computes a tensor and calls `record`; it may communicate, and throw.
public final class Tape {
    public let context: ComputeContext
    /// Whether backward will follow. If not, nothing is saved.
    public let isRecording: Bool
    /// Whether feed-forward networks compute their hidden activations again in backward instead of keeping them: the largest
    /// part of what is saved, for one product in seven more. Results are the same to the bit.
    public let recomputes: Bool
    private var backwardRules: [() throws -> Void] = []

    public init(_ context: ComputeContext, recording: Bool, recomputing: Bool = false) {
        self.context = context
        isRecording = recording
        recomputes = recomputing
    }

    /// Makes the variable of an operation's result. `backward` is given the result's gradient, which it may write to or hand
    /// on, and gives every input its share. It is called once, even if nothing depends on the result: then the gradient is
    /// zero, and an operation that communicates still meets its peers.
    public func record(_ value: Tensor, backward: @escaping (Tensor) throws -> Void) -> Variable {
        let output = Variable(value)
        if isRecording {
            backwardRules.append { [context] in try backward(output.takeGradient(context)) }
        }
        return output
    }

    /// Walks the operations back, last first. Parameters' gradients are added to.
    public func backward() throws {
        precondition(isRecording, "a tape that does not record has no way back")
        while let rule = backwardRules.popLast() { try rule() }
    }
}
