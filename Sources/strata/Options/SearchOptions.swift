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
        try requireCount("--beam", beam, atMost: 64)
        guard lengthPenalty.isFinite, (0...10).contains(lengthPenalty) else {
            throw CommandFailure(.usage, "--length-penalty must be 0 to 10, but is \(lengthPenalty)")
        }
        return BeamSearch(beam: beam, lengthPenalty: lengthPenalty)
    }
}

/// Checks a number of things of which there is at least one.
///
/// - Throws: `CommandFailure` naming the option, the bound that is passed, and what was given.
func requireCount(_ option: String, _ value: Int, atMost most: Int) throws {
    if value < 1 { throw CommandFailure(.usage, "\(option) must be at least 1, but is \(value)") }
    if value > most { throw CommandFailure(.usage, "\(option) must be at most \(most), but is \(value)") }
}
