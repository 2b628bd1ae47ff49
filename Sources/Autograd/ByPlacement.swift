/// A value for each placement of parameters.
public struct ByPlacement<Value> {
    public var replicated: Value
    public var expert: Value
    public var copiedExpert: Value

    /// Makes the replicated parameters' value first: where making one is a collective operation, ranks agree on the order.
    public init(_ make: (ParameterPlacement) throws -> Value) rethrows {
        replicated = try make(.replicated)
        expert = try make(.expert)
        copiedExpert = try make(.copiedExpert)
    }

    public subscript(placement: ParameterPlacement) -> Value {
        switch placement {
        case .replicated: replicated
        case .expert: expert
        case .copiedExpert: copiedExpert
        }
    }
}

extension ByPlacement: Sendable where Value: Sendable {}
