import ArgumentParser
import Evaluation

/// How translations are searched for.
struct SearchOptions: ParsableArguments {
    @Option(parsing: .unconditional, help: ArgumentHelp("Hypotheses a sentence; 1 is greedy search.", valueName: "n"))
    var beam = 5

    @Option(
        parsing: .unconditional, help: ArgumentHelp("Scores are log-probabilities over length to this power.", valueName: "x"))
    var lengthPenalty: Float = 1

    /// - Throws: `CommandFailure` for values that are out of range.
    func beamSearch() throws -> BeamSearch {
        guard (1...64).contains(beam) else { throw CommandFailure(.usage, "--beam must be 1 to 64, but is \(beam)") }
        guard lengthPenalty.isFinite, (0...10).contains(lengthPenalty) else {
            throw CommandFailure(.usage, "--length-penalty must be 0 to 10, but is \(lengthPenalty)")
        }
        return BeamSearch(beam: beam, lengthPenalty: lengthPenalty)
    }
}
