/// Figures as a table of HTML: the first column names the row.
struct DataTable {
    var header: [String]
    var rows: [[String]]

    var markup: Markup {
        let titles = header.map { Markup.element("th", ["scope": "col"], [.text($0)]) }
        return .element(
            "div", ["class": "scroll"],
            [
                .element(
                    "table", [:],
                    [
                        .element("thead", [:], [.element("tr", [:], titles)]),
                        .element("tbody", [:], rows.map(Self.row)),
                    ])
            ])
    }

    private static func row(_ cells: [String]) -> Markup {
        .element(
            "tr", [:],
            cells.enumerated().map { column, cell in
                column == 0 ? .element("th", ["scope": "row"], [.text(cell)]) : .element("td", [:], [.text(cell)])
            })
    }
}
