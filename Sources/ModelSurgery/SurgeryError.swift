/// Models that an operation of surgery cannot be done on.
public struct SurgeryError: Error, Equatable, CustomStringConvertible {
    /// The model's path, what it must be and is, and what to do next.
    public let description: String

    public init(_ description: String) { self.description = description }
}
