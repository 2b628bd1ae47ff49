import Autograd

/// Named tensors of 32-bit floats, read as they are asked for, so that a model may be larger than memory: those of a checkpoint
/// or an export, or what is made of others.
public protocol NamedTensors: Sendable {
    /// The tensors' names, sorted.
    var names: [String] { get }

    /// Extents of a tensor; nil if there is none of that name.
    func shape(_ name: String) -> [Int]?

    /// Copies `elements` of a tensor that exists, counted in row-major order, to `target`.
    ///
    /// - Throws: `FileError` where a file cannot be read.
    func read(_ name: String, _ elements: Range<Int>, into target: UnsafeMutablePointer<Float>) throws
}

extension NamedTensors {
    /// Elements of a tensor that exists.
    public func count(_ name: String) -> Int {
        guard let shape = shape(name) else { preconditionFailure("\(name) is not among the tensors") }
        return shape.reduce(1, *)
    }

    /// Reads the parameters of a store; `path` names what the tensors are of.
    ///
    /// - Throws: `CheckpointError.damaged` where one is absent or has another shape; `FileError` where a file cannot be read.
    public func load(into store: ParameterStore, path: String) throws {
        for placement in ParameterPlacement.allCases {
            let values = store.section(placement).values
            for location in store.locations(placement) {
                try load(
                    location.slice.name, location.slice.shape, elements: 0..<location.range.count,
                    into: values.pointer + location.range.lowerBound, path: path)
            }
        }
        store.refresh()
    }

    /// Reads elements of a tensor that must have a shape.
    func load(
        _ name: String, _ shape: [Int], elements: Range<Int>, into target: UnsafeMutablePointer<Float>, path: String
    ) throws {
        guard self.shape(name) == shape else {
            let found = self.shape(name).map { "F32 of shape \($0)" } ?? "absent"
            throw CheckpointError.damaged(path: path, reason: "\(name) must be F32 of shape \(shape), but is \(found)")
        }
        do { try read(name, elements, into: target) } catch { throw CheckpointError(damage: error) ?? error }
    }
}
