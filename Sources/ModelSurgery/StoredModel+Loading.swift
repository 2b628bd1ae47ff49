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
        let own = try Tokenizer(modelFile: self.tokenizer)
        let ids = Dictionary(
            (0..<Int32(own.vocabularySize)).map { (own.piece($0), $0) }, uniquingKeysWith: { first, _ in first })
        let known = (0..<Int32(tokenizer.vocabularySize)).map { ids[tokenizer.piece($0)] }
        for placement in ParameterPlacement.allCases {
            let values = store.section(placement).values
            for location in store.locations(placement) {
                let slice = location.slice, target = values.pointer + location.range.lowerBound
                if slice.name == Self.embedding {
                    try loadEmbedding(slice, known, rows: own.vocabularySize, into: target)
                } else {
                    try require(slice.name, slice.shape)
                    try parameters.read(slice.name, 0..<location.range.count, into: target)
                }
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
        return known.count { $0 != nil }
    }

    private static let embedding = "embedding.weight"

    private func loadEmbedding(
        _ slice: ParameterSlice, _ known: [Int32?], rows: Int, into target: UnsafeMutablePointer<Float>
    ) throws {
        let width = slice.shape[1]
        try require(slice.name, [rows, width])
        for (token, row) in known.enumerated() {
            guard let row = row.map(Int.init) else { continue }
            try parameters.read(slice.name, row * width..<(row + 1) * width, into: target + token * width)
        }
    }

    private func require(_ name: String, _ shape: [Int]) throws {
        guard parameters.shape(name) == shape else {
            let found = parameters.shape(name).map { "of shape \($0)" } ?? "absent"
            throw SurgeryError(
                "\(path): to begin a training with it, \(name) must be of shape \(shape), but is \(found): the configuration's "
                    + "model must be that of \(path); strata convert makes other models of one")
        }
    }
}
