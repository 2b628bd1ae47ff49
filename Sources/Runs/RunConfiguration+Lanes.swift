import MixtureOfExperts
import Training

extension RunConfiguration {
    /// The token groups that a rank runs in turns. `movesWhileComputing`: whether messages do.
    ///
    /// - Throws: `RunError` where they are to run so and nothing would move meanwhile.
    public func lanes(_ layout: ParallelLayout, movesWhileComputing: Bool) throws -> Int {
        let lanes = parallel.lanes(layout, tokenGroups: training.tokenGroups, movesWhileComputing: movesWhileComputing)
        guard lanes == 1 || movesWhileComputing else {
            throw RunError(
                .usage,
                "parallel.interleave must be auto or off where messages have no thread of their own, but is on: "
                    + "set parallel.communication_thread to on")
        }
        return lanes
    }
}
