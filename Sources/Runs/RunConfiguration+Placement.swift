import MixtureOfExperts
import Training

extension RunConfiguration {
    /// The place of every expert, by block, where `parallel.placement` says it; none where it is of groups of another size than the
    /// layout's: a run goes on after it has lost ranks, or with more.
    ///
    /// - Throws: `FileError`; `RunError` if the file is not one, or not of this model.
    public func placements(_ layout: ParallelLayout) throws -> [String: [Int]] {
        guard let path = parallel.placement else { return [:] }
        guard let mixture = model.mixture, mixture.pool == nil else {
            throw RunError(
                .usage, "parallel.placement must be none where experts come and go (model.moe.expert_pool), but is \(path)")
        }
        let file = try PlacementFile(path: path)
        guard layout.expertParallel > 1 else { return [:] }
        guard layout.partSize == layout.expertParallel else {
            throw RunError(
                .usage,
                "parallel.placement must be none where small strata have copies in a group, but is \(path): leave it out, or set "
                    + "parallel.expert_parallel to at most the smallest stratum")
        }
        return file.expertParallel == layout.expertParallel ? try file.places(in: model, path: path) : [:]
    }
}
