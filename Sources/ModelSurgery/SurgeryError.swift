import Checkpoints

/// Models that an operation of surgery cannot be done on.
public struct SurgeryError: Error, Equatable, CustomStringConvertible {
    /// The model's path, what it must be and is, and what to do next.
    public let description: String

    public init(_ description: String) { self.description = description }
}

extension NamedTensors {
    /// - Throws: `SurgeryError` unless a tensor is there, and of a shape. `path` is what they are of, `purpose` what it is needed for,
    ///   and `advice` what to do.
    func require(
        _ name: String, _ shape: [Int], of path: String, purpose: String = "", advice: String = "is it a model of Strata's?"
    ) throws {
        guard self.shape(name) == shape else {
            let found = self.shape(name).map { "of shape \($0)" } ?? "absent"
            throw SurgeryError("\(path): \(purpose)\(name) must be of shape \(shape), but is \(found): \(advice)")
        }
    }
}
