import DataPipeline
import Evaluation
import Foundation
import Testing
import _TestSupport

@testable import strata

/// Cases of users about scores: what a model says that knows its test set by heart.
@Suite struct EvaluationCaseTests {
    private static func lines(_ name: String, _ file: String) throws -> [String] {
        let path = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
            .appendingPathComponent("Fixtures/cases/\(name)/text/\(file)")
        return try TextLines.all(of: path.path)
    }

    private static func report(_ scores: [DirectionScore], _ metrics: ScoreMetrics? = nil) -> EvaluationReport {
        EvaluationReport(
            scores: scores, metrics: metrics ?? ScoreMetrics(tokenizer: nil, further: []), text: "test", update: 1,
            search: BeamSearch(beam: 5, lengthPenalty: 1))
    }

    private static func perfect(_ name: String, _ source: String, _ target: String, trimmed: Bool = false) throws
        -> DirectionScore
    {
        let references = try lines(name, "test.en-zh.\(target)")
        return DirectionScore(
            direction: Direction(source: source, target: target), sources: try lines(name, "test.en-zh.\(source)"),
            references: references,
            hypotheses: trimmed ? references.map { $0.trimmingCharacters(in: .whitespaces) } : references)
    }

    @Test func perfectTranslationsIntoChineseScore100() throws {
        let result = Self.report([try Self.perfect("bleu-of-chinese", "en", "zh")]).result
        #expect(abs(result.average.bleu - 100) < 1e-9 && result.signature.contains("|tok:zh|"))
        #expect(result.tokenizers == ["en-zh": "zh"] && result.bleuByTokenizer == nil)
    }

    @Test func scoresByUnlikeTokensAreNotAveraged() throws {
        let chinese = try Self.perfect("bleu-of-chinese", "en", "zh"), english = try Self.perfect("bleu-of-chinese", "zh", "en")
        let wrong = DirectionScore(
            direction: Direction(source: "de", target: "en"), sources: english.sources, references: english.references,
            hypotheses: english.references.map { _ in "nothing" })
        let report = Self.report([chinese, english, wrong]), result = report.result
        #expect(abs(result.average.bleu - 50) < 1e-9 && result.signature.contains("|tok:13a|"))
        #expect(abs((result.bleuByTokenizer?["zh"] ?? 0) - 100) < 1e-9)
        #expect(report.text(samples: 0).contains("BLEU of en-zh: nrefs:1|case:mixed|eff:no|tok:zh|"))
        #expect(report.text(samples: 0).contains("no part of the average"))
        let forced = ScoreMetrics(tokenizer: try BLEUTokenizer(.characters), further: [ChrF.plusPlus, TranslationEditRate()])
        let other = Self.report([chinese, english], forced).result
        #expect(other.bleuByTokenizer == nil && abs(other.average.bleu - 100) < 1e-9 && other.signature.contains("|tok:char|"))
        #expect(other.directions["en-zh"]?.further == ["chrF2++": 100, "TER": 0])
    }

    /// References end with a space; translations do not.
    @Test func samplesAreMarkedAsExactCounts() throws {
        let score = try Self.perfect("samples-mark", "en", "zh", trimmed: true), report = Self.report([score])
        #expect(score.hypotheses != score.references && report.result.average.exact == 100)
        let text = report.text(samples: 3)
        #expect(text.components(separatedBy: "  =\n").count == 4 && !text.contains("≠"), "\(text)")
    }
}
