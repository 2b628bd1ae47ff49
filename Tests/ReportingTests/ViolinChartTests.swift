import Foundation
import Testing

@testable import Reporting

@Suite struct ViolinChartTests {
    private func chart(_ high: [[Double]], _ low: [[Double]]) -> ViolinChart {
        func details(_ values: [[Double]]) -> [String] { values.map { "\($0.count) pieces" } }
        return ViolinChart(
            title: "Ranks", note: "", subject: "block", categories: high.indices.map { "enc \($0)" }, measure: "rank",
            mark: RunMark(index: 2),
            series: [
                .init(isLight: false, label: "high", values: high, details: details(high)),
                .init(isLight: true, label: "low", values: low, details: details(low)),
            ], table: DataTable(header: [], rows: []))
    }

    @Test func twoForEachCategoryAroundTheirMiddle() throws {
        let page = try PageNode(try #require(chart([[100, 200, 400], [10, 1000, 1000]], [[1, 2, 4], []]).figure()).markup)
        let violins = page.all("path", "violin run-2")
        #expect(violins.count == 3 && page.all("path", "violin light").count == 1)
        #expect(page.all("li").map(\.text) == ["high", "low"])
        #expect(violins[0].tooltip.contains("median 200, half of them 141.4 to 282.8, 3 tokens\n3 pieces"))
        for (violin, median) in zip(violins, page.all("circle", "median")) {
            let points = violin.points, half = points.count / 2
            // Mirrored: the right side upwards, the left one back.
            for (one, other) in zip(points[..<half], points[half...].reversed()) {
                #expect(one.y == other.y && abs(one.x + other.x - 2 * median.number("cx")) < 0.03)
            }
        }
        // Ranks 1 to 1000 are three decades of 80 pixels.
        let median = page.all("circle", "median")[0].number("cy")
        #expect(abs(median - (bottom - 80 * log10(200))) < 0.01)
        #expect(violins.allSatisfy { $0.points.allSatisfy { top <= $0.y && $0.y <= bottom } }, "nothing leaves the axis")
    }

    @Test func equalValuesHaveAWidth() throws {
        let page = try PageNode(try #require(chart([[7, 7, 7]], [[7]]).figure()).markup)
        for violin in page.all("path", "violin") {
            let heights = violin.points.map(\.y)
            #expect(heights.max()! > heights.min()!)
        }
    }

    @Test func withoutValuesThereIsNoChart() { #expect(chart([[], []], [[], []]).figure() == nil) }
}
