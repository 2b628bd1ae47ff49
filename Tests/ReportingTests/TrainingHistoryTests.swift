import Foundation
import Testing

import Training

@testable import Reporting

@Suite struct TrainingHistoryTests {
    private func history(_ lines: String...) -> TrainingHistory {
        TrainingHistory(jsonLines: Data(lines.joined(separator: "\n").utf8))
    }

    @Test func updatesAndValidations() {
        let history = history(
            MetricsLine.update(1, loss: "8", tokens: 100, speed: 50), MetricsLine.validation(1, loss: "7"),
            MetricsLine.update(2, loss: "6", tokens: 300, speed: 100), "")
        #expect(history.updates.map(\.update) == [1, 2] && history.updates.map(\.loss) == [8, 6])
        #expect(history.validations.map(\.validLoss) == [7])
        #expect(history.range == 1...2 && history.unreadableLines == 0 && history.skipped == 0)
        // 100 tokens in 2 s and 300 in 3 s.
        #expect(history.seconds == 5 && history.tokensPerSecond == 80)
    }

    @Test func aLineThatIsBeingWrittenIsNotMissed() {
        let line = MetricsLine.update(1)
        for torn in ["{", "{\"update\":2,\"lo", MetricsLine.update(2).dropLast().description] {
            let history = history(line, torn)
            #expect(history.updates.count == 1 && history.unreadableLines == 0, "\(torn)")
        }
    }

    @Test func aLineThatIsWholeAndBrokenIsCounted() {
        let history = history(MetricsLine.update(1), "{\"update\":", MetricsLine.update(2), "\u{0}\u{0}", "")
        #expect(history.updates.map(\.update) == [1, 2] && history.unreadableLines == 2)
    }

    @Test func whatIsNotFiniteIsRead() {
        let history = history(
            MetricsLine.update(1, loss: "\"nan\""), MetricsLine.update(2, norm: "\"inf\""), MetricsLine.update(3), "")
        #expect(history.updates[0].loss.isNaN && history.updates[1].gradientNorm == .infinity)
        #expect(history.skipped == 2)
        #expect(history.recentMean(\.loss) == 2.5)
    }

    @Test func logsOfBeforeSkippedUpdatesWereMarkedAreRead() {
        let history = history(MetricsLine.update(1).replacing("\"skipped\":false,", with: ""), "")
        #expect(history.updates.count == 1 && history.unreadableLines == 0)
    }

    @Test func figuresOfBlocksAreReadByAnyName() {
        let history = history(
            MetricsLine.update(1, figures: ["aux": "1.5", "budget": "\"inf\"", "z_loss": "\"nan\""]),
            MetricsLine.update(2, figures: ["new": "2"]),
            MetricsLine.update(3, figures: [:]).replacing("}", with: ",\"note\":\"x\"}"),
            "")
        #expect(history.unreadableLines == 0 && history.updates.map(\.figures.count) == [3, 1, 0])
        #expect(history.updates[0].figure("aux") == 1.5 && history.updates[0].figure("budget") == .infinity)
        #expect(history.updates[0].figure("z_loss")?.isNaN == true && history.updates[0].figure("new") == nil)
        #expect(history.updates[1].figures == [.init(name: "new", value: 2)])
        #expect(history.updates.allSatisfy { $0.figure("loss") == nil }, "what every line has is no block's figure")
    }

    @Test func ofTwoLinesForAnUpdateTheLaterCounts() {
        let history = history(
            MetricsLine.update(1, loss: "9"), MetricsLine.update(2, loss: "8"), MetricsLine.update(1, loss: "7"),
            MetricsLine.update(2, loss: "6"), "")
        #expect(history.updates.map(\.loss) == [7, 6])
    }

    @Test func recentIsTheLastTenth() {
        func mean(_ count: Int) -> Double? {
            let lines = (1...count).map { MetricsLine.update($0, loss: "\($0)") }
            return TrainingHistory(jsonLines: Data(lines.joined(separator: "\n").utf8)).recentMean(\.loss)
        }
        #expect(mean(5) == 5 && mean(20) == 19.5 && mean(2000) == 1950.5)
        #expect(history("").recentMean(\.loss) == nil && history("").range == nil && history("").tokensPerSecond == nil)
    }
}
