import Testing

@testable import Reporting

@Suite struct LineChartTests {
    private func page(_ chart: LineChart, _ bins: UpdateBins) throws -> PageNode {
        try PageNode(try #require(chart.figure(bins)).markup)
    }

    private func chart(_ series: [LineChart.Series]) -> LineChart {
        LineChart(title: "Loss", note: "A note.", measure: "nats", extent: .from(0), series: series)
    }

    @Test func aPointForEachUpdateAtItsPlace() throws {
        let values = [(1, 8.0), (2, 4), (3, 2), (4, 0)].map { (update: $0.0, value: $0.1) }
        let page = try page(chart([.init(mark: RunMark(index: 0), run: "a", values: values)]), UpdateBins(1...4, atMost: 150))
        // The axis goes from 0 to 4 between the labels, one character wide, and the right end; 8 is its top.
        let left = left(ofLabelsWith: 1)
        let points = try #require(page.all("path", "line run-0 c0").first).points
        #expect(points.count == 4)
        for (index, point) in points.enumerated() {
            #expect(abs(point.x - (left + (right - left) * Double(index + 1) / 4)) < 0.01)
            #expect(abs(point.y - (bottom - (bottom - top) * values[index].value / 8)) < 0.01)
        }
        #expect(page.all("path", "band").isEmpty && page.all("circle").isEmpty)
        #expect(page.all("ul", "legend").isEmpty, "one series needs no legend")
        #expect(page.all("text", "title").map(\.text) == ["update", "nats"])
        #expect(page.all("tbody")[0].all("tr").map { $0.all("td")[0].text } == ["8", "4", "2", "0"])
    }

    @Test func binsHaveMeanAndBand() throws {
        let values = (1...8).map { (update: $0, value: Double($0)) }
        let page = try page(chart([.init(mark: RunMark(index: 0), run: "a", values: values)]), UpdateBins(1...8, atMost: 4))
        let line = try #require(page.all("path", "line").first).points,
            band = try #require(page.all("path", "band").first).points
        #expect(line.count == 4 && band.count == 8)
        func y(_ value: Double) -> Double { bottom - (bottom - top) * value / 8 }
        for (point, mean) in zip(line, [1.5, 3.5, 5.5, 7.5]) { #expect(abs(point.y - y(mean)) < 0.01) }
        for (point, high) in zip(band, [2.0, 4, 6, 8]) { #expect(abs(point.y - y(high)) < 0.01) }
        for (point, low) in zip(band.suffix(4), [7.0, 5, 3, 1]) { #expect(abs(point.y - y(low)) < 0.01) }
        #expect(page.all("p")[0].text.contains("means of 2 updates"))
    }

    @Test func whatIsNotFiniteIsAGap() throws {
        let values = [(1, 4.0), (2, 3), (3, .nan), (4, 2), (5, 1), (6, .infinity), (7, 1)].map { (update: $0.0, value: $0.1) }
        let page = try page(chart([.init(mark: RunMark(index: 0), run: "a", values: values)]), UpdateBins(1...7, atMost: 150))
        #expect(page.all("path", "line").map(\.points.count) == [2, 2])
        #expect(page.all("circle", "dot").count == 1, "a value between two gaps is a dot")
        #expect(page.all("rect", "column")[2].tooltip == "update 3\na: not finite")
    }

    @Test func seriesAreToldApart() throws {
        let validation = [(update: 2, value: 2.0), (update: 4, value: 1)]
        let page = try page(
            chart([
                .init(mark: RunMark(index: 0), run: "a", values: (1...4).map { ($0, 3) }),
                .init(mark: RunMark(index: 9), run: "b", style: .dots, values: validation),
            ]), UpdateBins(1...4, atMost: 150))
        #expect(page.all("ul", "legend")[0].all("li").map(\.text) == ["a", "b"])
        #expect(page.all("g", "marks")[0].all("circle", "dot run-9 c1 again").count == 2)
        // A strip for each update; only the second and the fourth tell of b.
        #expect(page.all("rect", "column").map { $0.tooltip.contains("\nb: ") } == [false, true, false, true])
        #expect(page.all("rect", "column")[1].tooltip == "update 2\na: 3\nb: 2")
    }

    @Test func theLegendOfSeveralCurvesOfSeveralRunsIsShort() throws {
        func series(_ run: Int, _ part: String, _ style: LineChart.Series.Style) -> LineChart.Series {
            .init(mark: RunMark(index: run), run: "run \(run)", part: part, style: style, values: [(1, 2), (2, 3)])
        }
        func legend(_ runs: [Int]) throws -> [String] {
            let series = runs.map { series($0, "training", .line) } + runs.map { series($0, "validation", .dots) }
            return try page(chart(series), UpdateBins(1...2, atMost: 9)).all("ul", "legend")[0].all("li").map(\.text)
        }
        #expect(try legend([0]) == ["run 0, training", "run 0, validation"])
        #expect(try legend([0, 1, 2]) == ["run 0", "run 1", "run 2", "training", "validation"])
    }

    @Test func withoutFiniteValuesThereIsNoChart() {
        let nothing = LineChart.Series(mark: RunMark(index: 0), run: "a", values: [(1, .nan)])
        #expect(chart([nothing]).figure(UpdateBins(1...1, atMost: 9)) == nil)
        #expect(chart([]).figure(UpdateBins(1...1, atMost: 9)) == nil)
    }
}
