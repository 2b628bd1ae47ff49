/// What a step's time cannot be predicted from.
public struct PlanningError: Error, Equatable, CustomStringConvertible {
    public enum Kind: Sendable {
        /// Something else is to be asked for.
        case usage
        /// A file's figures cannot be used.
        case data
    }

    public let kind: Kind
    /// "must be X, but is Y", and what to do next.
    public let description: String

    public init(_ kind: Kind, _ description: String) {
        self.kind = kind
        self.description = description
    }

    public static func unequalHosts(ranks: Int, hosts: Int) -> Self {
        Self(.usage, "--hosts must divide the number of ranks, \(ranks), but is \(hosts): hosts have as many ranks each")
    }
}
