import Testing

@testable import Reporting

@Suite struct HeatMapTests {
    @Test func aCellForEachValueInItsColour() throws {
        let map = HeatMap(
            title: "Load", note: "", horizontal: .categories(["0", "1"]), horizontalTitle: "x", columns: [0...1, 1...2],
            rows: ["a", "b", "c"], rowsTitle: "y", values: [[0, 2], [1, nil], [4, 0.5]], measure: "load", scale: .linear(0...4),
            tooltip: { "row \($0), column \($1)" }, table: DataTable(header: [], rows: []))
        let drawings = try PageNode(map.figure().markup).all("svg", "plot")
        #expect(drawings.count == 2, "the map and its scale of colours")
        let cells = drawings[0].all("rect", "cell"), left = left(ofLabelsWith: 1), width = (right - left) / 2
        #expect(cells.map(\.tooltip) == [(0, 0), (0, 1), (1, 0), (2, 0), (2, 1)].map { "row \($0.0), column \($0.1)" })
        #expect(cells.map { $0.attributes["fill"]! } == [0, 0.5, 0.25, 1, 0.125].map(SequentialScale.colour))
        #expect(cells.map { $0.number("y") } == [10, 10, 38, 66, 66] && cells.allSatisfy { $0.number("height") == 28 })
        #expect(zip(cells, [0.0, 1, 0, 0, 1]).allSatisfy { abs($0.number("x") - (left + width * $1)) < 0.01 })
        let legend = drawings[1]
        #expect(legend.all("text", "label").map(\.text) == ["0", "1", "2", "3", "4"])
        let colours = legend.all("rect", "cell").map { $0.attributes["fill"]! }
        #expect(colours.count == 60 && Set(colours).count == 60)
    }
}
