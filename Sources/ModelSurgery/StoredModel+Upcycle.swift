import Autograd
import Checkpoints
import ConfigurationForms
import MixtureMethods
import MixtureOfExperts
import TensorCore

/// How a dense model becomes one with experts.
public struct Upcycling: Sendable {
    public var strata: [Int]
    /// Every how many layers the feed-forward network becomes a mixture.
    public var every = 2
    /// Choices of a token at a gate.
    public var topK = 2
    /// What a stratum after the first is scaled by at the start; with 0 the model stays the same function.
    public var scale: Float = 0
    /// Each expert's weight times 1 + noise · a normal number; with 0 experts begin as copies.
    public var noise: Float = 0
    /// The width of adapters, which are the experts then, behind the dense network that all tokens pass; nil: experts are copies.
    public var adapters: Int?
    /// Whether experts are chains of tensors with the middle one in common, made of the dense matrices.
    public var isFactorised = false
    /// The largest bond of these chains; nil: as large as it takes for the matrices.
    public var truncation: Int?
    /// Gates, adapters and noise are drawn under it.
    public var seed: UInt64 = 1

    public init(strata: [Int]) { self.strata = strata }

    /// Whether the model's function is kept, to rounding.
    public var isExact: Bool {
        adapters != nil || noise == 0 && (scale == 0 || strata.count == 1) && (!isFactorised || truncation == nil)
    }

    var text: String {
        if let adapters {
            return "upcycled into strata \(strata) of adapters of \(adapters), every \(every), top-\(topK), seed \(seed)"
        }
        if isFactorised {
            return
                "factorised into strata \(strata), every \(every), top-\(topK), bonds \(truncation.map { "up to \($0)" } ?? "uncut"), "
                + "scale \(scale), seed \(seed)"
        }
        return "upcycled into strata \(strata), every \(every), top-\(topK), scale \(scale), noise \(noise), seed \(seed)"
    }
}

extension StoredModel {
    /// A mixture of experts whose experts are copies of this dense model's networks ("Sparse Upcycling", arXiv 2212.05055; the
    /// scale of later strata is Strata's own, in no paper). Round 1 gives Σ g FFN(h) = FFN(h) whatever the routing, since weights
    /// add up to 1; later rounds add 0. With adapters ("Parameter-Efficient Sparsity Crafting", arXiv 2401.02731) the network itself
    /// stays, shared, and experts add to what it makes: at first 0, whatever is routed or dropped.
    ///
    /// Moments, if there are some, are copied as parameters are, noise left out; of what is drawn or made there are none.
    ///
    /// `report` is told of each matrix that is made a chain of tensors, when it is read, and how far it is from what they make.
    ///
    /// - Throws: `SurgeryError` if the model is no dense one, or the mixture cannot be one.
    public func upcycled(
        _ upcycling: Upcycling, report: @escaping @Sendable (_ matrix: String, _ error: Double) -> Void = { _, _ in }
    ) throws -> StoredModel {
        guard configuration.model.mixture == nil else {
            throw SurgeryError("\(path): must be a dense model (model.moe: none) to be upcycled, but has experts already")
        }
        guard upcycling.adapters == nil || (upcycling.noise == 0 && upcycling.scale == 0) else {
            throw SurgeryError(
                "--noise and --scale must be 0 with --adapters, whose experts are no copies, but are \(upcycling.noise) and "
                    + "\(upcycling.scale)")
        }
        guard !upcycling.isFactorised || upcycling.adapters == nil && upcycling.noise == 0 else {
            throw SurgeryError(
                "--noise and --adapters are for experts with matrices of their own, and these have a tensor in common")
        }
        guard upcycling.topK >= (upcycling.adapters == nil ? 2 : 1) else {
            throw SurgeryError(
                "--top-k must be at least 2, but is \(upcycling.topK): a single choice has its bare score for a weight, "
                    + "which would change what the model computes")
        }
        let layers = max(configuration.model.encoderLayers, configuration.model.decoderLayers)
        guard (1...layers).contains(upcycling.every) else {
            throw SurgeryError("--every must be 1 to the model's layers, \(layers), but is \(upcycling.every)")
        }
        guard upcycling.strata.reduce(0, +) >= upcycling.topK else {
            throw SurgeryError("--strata must have at least \(upcycling.topK) experts for --top-k, but is \(upcycling.strata)")
        }
        var result = self
        var mixture = try upcycling.mixture()
        (mixture.every, mixture.topK) = (upcycling.every, upcycling.topK)
        mixture.scalesStrata = upcycling.strata.count > 1 && upcycling.adapters == nil
        result.configuration.model.mixture = mixture
        let slices = try slices(of: result.configuration.model)
        let chains = FactorisedMatrices(of: parameters, most: upcycling.truncation, report: report)
        let upcycled = try UpcycledTensors(slices, of: parameters, upcycling, chains, path: path)
        result.parameters = upcycled
        result.moments = moments?.map { RenamedTensors($0, upcycled.sources) }
        result.history.append(upcycling.text)
        return result
    }
}

extension Upcycling {
    /// A method is known by its key here.
    fileprivate func mixture() throws -> MixtureConfiguration {
        guard adapters != nil || isFactorised else { return MixtureConfiguration(strata: strata) }
        func number(_ value: Int) -> ConfigurationNode { ConfigurationNode(written: .scalar("\(value)", quoted: false)) }
        let settings =
            adapters.map { [ConfigurationNode.Entry(key: "dim", node: number($0))] }
            ?? truncation.map { [.init(key: "truncate", node: number($0))] } ?? []
        let section = ConfigurationNode(written: .map(settings))
        let keys: [ConfigurationNode.Entry] = [
            .init(key: "strata", node: ConfigurationNode(written: .list(strata.map(number)))),
            .init(key: adapters == nil ? "mpo" : "adapters", node: section),
        ]
        return try MixtureConfiguration.form(methods: allMethods).read(root: ConfigurationNode(written: .map(keys)))
    }
}

/// The parameters of a mixture made of a dense model's.
private struct UpcycledTensors: NamedTensors {
    private enum Origin {
        case copy(String)
        /// A copy with noise, drawn by the tensor's own name.
        case noisyCopy(String)
        case drawn(ParameterSlice)
        case constant(Float)
        /// A tensor of a dense matrix as a chain, by its number.
        case chained(String, Int)

        /// What it is a copy of.
        var source: String? {
            switch self {
            case let .copy(name), let .noisyCopy(name): name
            case .drawn, .constant, .chained: nil
            }
        }
    }

    private let tensors: [String: (shape: [Int], origin: Origin)]
    private let dense: any NamedTensors
    private let upcycling: Upcycling
    private let chains: FactorisedMatrices
    let names: [String]

    init(
        _ slices: [ParameterSlice], of dense: any NamedTensors, _ upcycling: Upcycling, _ chains: FactorisedMatrices,
        path: String
    ) throws {
        self.dense = dense
        self.chains = chains
        self.upcycling = upcycling
        tensors = try Dictionary(
            uniqueKeysWithValues: slices.map { slice in
                let origin = Self.origin(slice, upcycling)
                if let source = origin.source { try dense.require(source, slice.shape, of: path) }
                if case let .chained(name, tensor) = origin {
                    guard let shape = dense.shape(name), shape.count == 2,
                        MatrixChain(outputs: shape[0], inputs: shape[1], most: upcycling.truncation).shape(tensor)
                            == slice.shape
                    else {
                        throw SurgeryError(
                            "\(path): \(name) must be a matrix that \(slice.name) can be made of, but is "
                                + (dense.shape(name).map { "of shape \($0)" } ?? "absent"))
                    }
                }
                return (slice.name, (slice.shape, origin))
            })
        names = tensors.keys.sorted()
    }

    /// The names of the dense tensors that others are copies of, by theirs.
    var sources: [String: String] { tensors.compactMapValues(\.origin.source) }

    /// `<layer>.moe.…` is made of `<layer>.ffn.…` and `<layer>.ffn_norm.…`; everything else stays.
    private static func origin(_ slice: ParameterSlice, _ upcycling: Upcycling) -> Origin {
        let parts = slice.name.split(separator: ".").map(String.init)
        guard let place = parts.firstIndex(of: "moe") else { return .copy(slice.name) }
        let layer = parts[..<place].joined(separator: "."), rest = parts[(place + 1)...]
        let last = parts.suffix(2).joined(separator: ".")
        switch rest.first {
        case "norms": return .copy("\(layer).ffn_norm.\(parts[parts.count - 1])")
        case "shared": return .copy("\(layer).ffn.\(last)")
        case "experts" where upcycling.adapters != nil: return .drawn(slice)
        case "central": return .chained("\(layer).ffn.\(parts[parts.count - 1]).weight", MatrixChain.centre)
        case "experts" where parts[parts.count - 2] == "mpo":
            return .chained("\(layer).ffn.\(parts[parts.count - 3]).weight", Int(parts[parts.count - 1])! - 1)
        case "experts": return upcycling.noise > 0 ? .noisyCopy("\(layer).ffn.\(last)") : .copy("\(layer).ffn.\(last)")
        case "scales": return .constant(upcycling.scale)
        default: return .drawn(slice)
        }
    }

    func shape(_ name: String) -> [Int]? { tensors[name]?.shape }

    func read(_ name: String, _ elements: Range<Int>, into target: UnsafeMutablePointer<Float>) throws {
        switch tensors[name]!.origin {
        case let .copy(source):
            try dense.read(source, elements, into: target)
        case let .noisyCopy(source):
            try dense.read(source, elements, into: target)
            let key = RandomKey(seed: upcycling.seed).derived("noise").derived(name)
            for (place, element) in elements.enumerated() { target[place] *= 1 + upcycling.noise * key.normal(element) }
        case let .drawn(slice):
            slice.draw(elements, seed: upcycling.seed, into: target)
        case let .constant(value):
            target.update(repeating: value, count: elements.count)
        case let .chained(matrix, tensor):
            try chains.read(matrix, tensor, elements, into: target)
        }
    }
}
