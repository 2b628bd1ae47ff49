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
    private var operations: [Operation] = []
    /// How many operations that are still to be walked back add to a parameter's gradient.
    private var uses: [ObjectIdentifier: Int] = [:]

    private struct Operation {
        let parameters: [Parameter]
        let rule: () throws -> Void
    }

    public init(_ context: ComputeContext, recording: Bool, recomputing: Bool = false) {
        self.context = context
        isRecording = recording
        recomputes = recomputing
    }

    /// Makes the variable of an operation's result. `backward` is given the result's gradient, which it may write to or hand
    /// on, and gives every input its share. It is called once, even if nothing depends on the result: then the gradient is
    /// zero, and an operation that communicates still meets its peers. `parameters` are all those to whose gradients it adds.
    public func record(
        _ value: Tensor, parameters: [Parameter], backward: @escaping (Tensor) throws -> Void
    ) -> Variable {
        let output = Variable(value)
        if isRecording {
            operations.append(Operation(parameters: parameters) { [context] in try backward(output.takeGradient(context)) })
            for parameter in parameters { uses[ObjectIdentifier(parameter), default: 0] += 1 }
        }
        return output
    }

    /// Whether an operation that is still to be walked back adds to the parameter's gradient.
    public func addsToGradient(of parameter: Parameter) -> Bool { uses[ObjectIdentifier(parameter), default: 0] > 0 }

    /// Walks the operations back, last first. Parameters' gradients are added to. After each operation `progress` is given the
    /// parameters whose gradients no other will add to: most often none, each parameter once.
    public func backward(progress: ([Parameter]) throws -> Void = { _ in }) throws {
        precondition(isRecording, "a tape that does not record has no way back")
        while let parameters = try walkBack() {
            try progress(
                parameters.filter { parameter in
                    let left = uses[ObjectIdentifier(parameter)]! - 1
                    uses[ObjectIdentifier(parameter)] = left
                    return left == 0
                })
        }
    }

    /// One operation; what it saved is gone when this returns its parameters. Nil if there is none.
    private func walkBack() throws -> [Parameter]? {
        guard let operation = operations.popLast() else { return nil }
        try operation.rule()
        return operation.parameters
    }
}
