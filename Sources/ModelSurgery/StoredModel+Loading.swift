import Autograd
import Checkpoints
import DataPipeline

extension StoredModel {
    /// Loads the parameters into a store, for a training that begins with them. Where the tokenizer is another one, tokens take the
    /// embeddings of the same pieces, and those that are new keep what they were drawn as.
    ///
    /// - Returns: The tokens whose embeddings are the model's.
    /// - Throws: `SurgeryError` where a parameter of the store is not in the model, or has another shape, or one of the model is
    ///   not in the store; `FileError`.
    @discardableResult
    public func load(into store: ParameterStore, tokenizer: Tokenizer) throws -> Int {
        let tokens = try KnownTokens(of: tokenizer, in: Tokenizer(modelFile: self.tokenizer))
        for placement in ParameterPlacement.allCases {
            let values = store.section(placement).values
            for location in store.locations(placement) {
                let slice = location.slice
                try parameters.require(
                    slice.name, slice.name == Self.embedding ? [tokens.rows, slice.shape[1]] : slice.shape, of: path,
                    purpose: "to begin a training with it, ",
                    advice: "the configuration's model must be that of \(path); strata convert makes other models of one")
                try tokens.read(location, location.range, of: parameters, into: values.pointer + location.range.lowerBound)
            }
        }
        store.refresh()
        let held = Set(store.parameters.flatMap { $0.slices.map(\.name) })
        // Other ranks hold other experts; gates' shapes say how many there are.
        if let extra = parameters.names.filter({ !$0.contains(".experts.") && !held.contains($0) }).min() {
            throw SurgeryError(
                "\(path): to begin a training with it, the configuration's model must have its \(extra), but has no such "
                    + "parameter: take the model section of its config.yaml")
        }
        return tokens.known
    }

    /// Loads the moments, which were read, for a rank that the parameters were loaded for. What there are none of, new tokens
    /// included, keeps those that it has.
    ///
    /// - Throws: `FileError`.
    public func loadMoments(into state: RankState, tokenizer: Tokenizer) throws {
        guard let moments else { preconditionFailure("moments are loaded where they were read") }
        let tokens = try KnownTokens(of: tokenizer, in: Tokenizer(modelFile: self.tokenizer))
        for placement in ParameterPlacement.allCases {
            let own = state.moments[placement]
            for location in state.store.locations(placement) where moments.first.shape(location.slice.name) != nil {
                let held = location.range.clamped(to: own.elements)
                guard !held.isEmpty else { continue }
                for (tensors, target) in [(moments.first, own.first), (moments.second, own.second)] {
                    try tokens.read(
                        location, held, of: tensors, into: target.pointer + (held.lowerBound - own.elements.lowerBound))
                }
            }
        }
    }
}

/// Which rows of a stored embedding are those of another tokenizer's tokens.
private struct KnownTokens {
    /// Rows of the stored embedding.
    let rows: Int
    private let rowOfToken: [Int?]

    init(of tokenizer: Tokenizer, in stored: Tokenizer) {
        let ids = Dictionary(
            (0..<Int32(stored.vocabularySize)).map { (stored.piece($0), Int($0)) }, uniquingKeysWith: { first, _ in first })
        rows = stored.vocabularySize
        rowOfToken = (0..<Int32(tokenizer.vocabularySize)).map { ids[tokenizer.piece($0)] }
    }

    /// Tokens that have a row.
    var known: Int { rowOfToken.count { $0 != nil } }

    /// Reads what belongs at the elements `held` of a section, which lie within `location`. Tokens without a row are passed over.
    func read(
        _ location: ParameterStore.Location, _ held: Range<Int>, of tensors: any NamedTensors,
        into target: UnsafeMutablePointer<Float>
    ) throws {
        let slice = location.slice, start = location.range.lowerBound
        let elements = held.lowerBound - start..<held.upperBound - start
        guard slice.name == StoredModel.embedding else { return try tensors.read(slice.name, elements, into: target) }
        let width = slice.shape[1]
        for token in elements.lowerBound / width..<(elements.upperBound + width - 1) / width {
            guard let row = rowOfToken[token] else { continue }
            let part = (token * width..<(token + 1) * width).clamped(to: elements)
            let source = part.lowerBound + (row - token) * width
            try tensors.read(
                slice.name, source..<source + part.count, into: target + (part.lowerBound - elements.lowerBound))
        }
    }
}
