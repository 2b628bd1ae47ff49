import ArgumentParser
import Evaluation
import TransformerModel

/// How translations are searched for.
struct SearchOptions: ParsableArguments {
    @Option(parsing: .unconditional, help: ArgumentHelp("Hypotheses a sentence; 1 is greedy search.", valueName: "n"))
    var beam = 5

    @Option(
        parsing: .unconditional, help: ArgumentHelp("Scores are log-probabilities over length to this power.", valueName: "x"))
    var lengthPenalty: Float = 1

    @Option(
        help: ArgumentHelp(
            "Move scores away from those of a weak pass (SCMoE): one that leaves blocks after m strata, or takes experts of rank k.",
            valueName: "rounds:m|rank:k"))
    var contrast: String?

    @Option(parsing: .unconditional, help: ArgumentHelp("With --contrast, how far scores are moved.", valueName: "x"))
    var contrastBeta: Float = 0.5

    @Option(
        parsing: .unconditional,
        help: ArgumentHelp(
            "With --contrast, candidates have at least this share of the likeliest token's probability.", valueName: "x"))
    var contrastAlpha: Float = 0.1

    /// The contrast that is asked for; nil: none. `models` are those that translate.
    ///
    /// - Throws: `CommandFailure` for values that are out of range, and for models that have no weak pass.
    func contrast(of models: [TrainedModel]) throws -> Contrast? {
        guard let contrast else { return nil }
        let parts = contrast.split(separator: ":", omittingEmptySubsequences: false)
        guard parts.count == 2, ["rounds", "rank"].contains(parts[0]), let number = Int(parts[1]), (1...64).contains(number)
        else {
            throw CommandFailure(
                .usage, "--contrast must be rounds:m or rank:k with a number from 1 to 64, such as rounds:1, but is \(contrast)"
            )
        }
        let weak = parts[0] == "rank" ? Contrast.Weak.rank(number) : .rounds(number)
        guard contrastBeta >= 0, contrastBeta <= 100 else {
            throw CommandFailure(.usage, "--contrast-beta must be 0 to 100, but is \(contrastBeta)")
        }
        guard contrastAlpha > 0, contrastAlpha <= 1 else {
            throw CommandFailure(.usage, "--contrast-alpha must be above 0 and at most 1, but is \(contrastAlpha)")
        }
        guard models.count == 1 else {
            throw CommandFailure(.usage, "--contrast must be of one run, but \(models.count) are given as an ensemble")
        }
        guard let mixture = models[0].configuration.model.mixture else {
            throw CommandFailure(.usage, "--contrast must be of a model with experts, but \(contrast) is asked of a dense one")
        }
        if case .rounds(let rounds) = weak {
            guard mixture.strataOrder == .stratified else {
                throw CommandFailure(
                    .usage, "--contrast rounds:m must be of a model with strata that tokens leave early: stacked ones have none"
                )
            }
            guard rounds < mixture.strata.count else {
                throw CommandFailure(
                    .usage,
                    "--contrast must name fewer rounds than the model has strata, \(mixture.strata.count), or the weak pass is the "
                        + "whole one, but is \(contrast)")
            }
        }
        return Contrast(weak, alpha: contrastAlpha, beta: contrastBeta)
    }

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
