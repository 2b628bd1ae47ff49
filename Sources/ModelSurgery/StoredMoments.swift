import Checkpoints

/// The moments that a model's optimizer has of its parameters, by the parameters' names. Of those that were frozen, or that surgery
/// made, there are none: a training begins with 0 for them.
public struct StoredMoments: Sendable {
    private static let prefixes = ["adam.m.", "adam.v."]

    public let first: any NamedTensors
    public let second: any NamedTensors
    /// Updates that have moved them, which Adam corrects them for.
    public let updates: Int

    init(first: any NamedTensors, second: any NamedTensors, updates: Int) {
        (self.first, self.second, self.updates) = (first, second, updates)
    }

    /// Those among a checkpoint's tensors, or a file's; `path` is where they are.
    ///
    /// - Throws: `CheckpointError.damaged` where they are not of the `parameters`.
    public init(_ tensors: any NamedTensors, of parameters: any NamedTensors, updates: Int, path: String) throws {
        let both = Self.prefixes.map { TensorsWithPrefix(tensors, $0) }
        for name in Set(both[0].names).union(both[1].names).sorted() {
            guard let shape = parameters.shape(name), both.allSatisfy({ $0.shape(name) == shape }) else {
                throw CheckpointError.damaged(
                    path: path, reason: "the moments of \(name) must be two tensors of the parameter's shape, but are not")
            }
        }
        self.init(first: both[0], second: both[1], updates: updates)
    }

    /// What share of the parameters' tensors there are moments of, for people.
    public func coverage(of parameters: any NamedTensors) -> String {
        "\(first.names.count) of \(parameters.names.count) parameters"
    }

    /// As one file has them.
    var named: any NamedTensors { PrefixedTensors([(Self.prefixes[0], first), (Self.prefixes[1], second)]) }

    /// Those of the parameters that `made` makes of the old ones.
    func map(_ made: (any NamedTensors) throws -> any NamedTensors) rethrows -> StoredMoments {
        StoredMoments(first: try made(first), second: try made(second), updates: updates)
    }
}

/// The tensors whose names begin with a prefix, by what follows it.
private struct TensorsWithPrefix: NamedTensors {
    private let all: any NamedTensors
    private let prefix: String
    let names: [String]

    init(_ all: any NamedTensors, _ prefix: String) {
        (self.all, self.prefix) = (all, prefix)
        names = all.names.filter { $0.hasPrefix(prefix) }.map { String($0.dropFirst(prefix.count)) }
    }

    func shape(_ name: String) -> [Int]? { all.shape(prefix + name) }

    func read(_ name: String, _ elements: Range<Int>, into target: UnsafeMutablePointer<Float>) throws {
        try all.read(prefix + name, elements, into: target)
    }
}

/// Several sets of tensors, each under a prefix of its own.
private struct PrefixedTensors: NamedTensors {
    private let parts: [(prefix: String, tensors: any NamedTensors)]

    init(_ parts: [(prefix: String, tensors: any NamedTensors)]) { self.parts = parts }

    var names: [String] { parts.flatMap { part in part.tensors.names.map { part.prefix + $0 } }.sorted() }

    private func find(_ name: String) -> (String, any NamedTensors)? {
        parts.first { name.hasPrefix($0.prefix) }.map { (String(name.dropFirst($0.prefix.count)), $0.tensors) }
    }

    func shape(_ name: String) -> [Int]? { find(name).flatMap { $1.shape($0) } }

    func read(_ name: String, _ elements: Range<Int>, into target: UnsafeMutablePointer<Float>) throws {
        let (own, tensors) = find(name)!
        try tensors.read(own, elements, into: target)
    }
}

/// Tensors under other names; one may have several.
struct RenamedTensors: NamedTensors {
    private let all: any NamedTensors
    private let sources: [String: String]
    let names: [String]

    /// `sources` are the old names by the new ones. Those of tensors that there are not are left out.
    init(_ all: any NamedTensors, _ sources: [String: String]) {
        self.all = all
        self.sources = sources.filter { all.shape($0.value) != nil }
        names = self.sources.keys.sorted()
    }

    func shape(_ name: String) -> [Int]? { sources[name].flatMap(all.shape) }

    func read(_ name: String, _ elements: Range<Int>, into target: UnsafeMutablePointer<Float>) throws {
        try all.read(sources[name]!, elements, into: target)
    }
}
