/// A run that is not what it must be for what is asked of it.
public struct RunError: Error, Equatable, CustomStringConvertible {
    public enum Kind: Sendable {
        /// Something else is to be asked for.
        case usage
        /// What the run holds cannot be used.
        case data
        /// A program that was started for it did not do what it must.
        case program
    }

    public let kind: Kind
    /// "must be X, but is Y", and what to do next.
    public let description: String

    public init(_ kind: Kind, _ description: String) {
        self.kind = kind
        self.description = description
    }
}
