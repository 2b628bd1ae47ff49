import Testing

@testable import Reporting

@Suite struct BarChartTests {
    private func page(_ chart: BarChart) throws -> PageNode { try PageNode(try #require(chart.figure()).markup) }

    private func series(_ index: Int, _ values: [Double?]) -> BarChart.Series {
        .init(mark: RunMark(index: index), label: "run \(index)", values: values)
    }

    @Test func barsStandOnTheBaseline() throws {
        let page = try page(
            BarChart(
                title: "RC", note: "", subject: "direction", categories: ["a-b", "b-a"], measure: "RC", baseline: 1,
                series: [series(0, [1, 3]), series(1, [2, nil])]))
        let bars = page.all("rect", "bar")
        #expect(bars.map(\.tooltip) == ["a-b\nrun 0: 1", "a-b\nrun 1: 2", "b-a\nrun 0: 3"])
        // The axis goes from 1 to 3: 1 is a line of a pixel, 2 half the height.
        #expect(bars.map { $0.number("height") } == [1, 120, 240])
        #expect(bars.map { $0.number("y") } == [249, 130, 10])
        // 48 pixels at most for each, together in the middle of their category.
        let left = left(ofLabelsWith: 3), cell = (right - left) / 2
        #expect(abs(bars[0].number("x") - (left + cell / 2 - 48)) < 0.01 && abs(bars[1].number("x") - (left + cell / 2)) < 0.01)
        #expect(page.all("li").map(\.text) == ["run 0", "run 1"])
        #expect(page.all("tbody")[0].all("td").map(\.text) == ["1", "2", "3", "–"])
    }

    @Test func manyCategoriesAreDrawnInRows() throws {
        let names = (0..<198).map { "xx-y\($0)" }
        let page = try page(
            BarChart(
                title: "BLEU", note: "", subject: "direction", categories: names, measure: "BLEU",
                series: [series(0, names.map { _ in 10 })]))
        let rows = page.all("svg", "plot")
        #expect(rows.count == 3 && page.attributes["class"] == "wide")
        #expect(rows.map { $0.all("rect", "bar").count } == [66, 66, 66])
        #expect(rows.map { Set($0.all("rect", "bar").map { $0.attributes["x"]! }) }.allSatisfy { $0.count == 66 })
        #expect(Set(page.all("text", "label").map(\.text)).isSuperset(of: names))
    }

    @Test func theAxisMayBeSharedWithAnotherChart() throws {
        let page = try page(
            BarChart(
                title: "RC", note: "", subject: "direction", categories: ["a-b"], measure: "RC", reaches: 40,
                series: [series(0, [10])]))
        let bar = page.all("rect", "bar")[0]
        #expect(bar.number("height") == 60)
        #expect(abs(bar.number("x") + 24 - (left(ofLabelsWith: 2) + right) / 2) < 0.01, "one bar stands in the middle")
    }

    @Test func zerosAndNothing() throws {
        func chart(_ values: [Double?]) -> BarChart {
            BarChart(title: "", note: "", subject: "", categories: ["a"], measure: "", series: [series(0, values)])
        }
        #expect(try page(chart([0])).all("rect", "bar").map { $0.number("height") } == [1])
        #expect(chart([nil]).figure() == nil && chart([.nan]).figure() == nil)
    }
}
