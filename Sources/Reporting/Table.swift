/// Columns of text, the first one flush left, the others flush right.
public struct Table {
    let header: [String]
    let rows: [[String]]

    /// Every row has as many cells as the header.
    public init(header: [String], rows: [[String]]) {
        self.header = header
        self.rows = rows
    }

    public var text: String {
        let all = [header] + rows
        let widths = header.indices.map { column in all.reduce(0) { max($0, $1[column].count) } }
        return all.map { row in
            let cells = row.enumerated().map { column, cell -> String in
                let padding = String(repeating: " ", count: widths[column] - cell.count)
                return column == 0 ? cell + padding : padding + cell
            }
            return cells.joined(separator: "  ") + "\n"
        }.joined()
    }

    /// The table as Markdown; the first column flush left, the others flush right.
    public var markdown: String {
        func line(_ cells: [String]) -> String { "| " + cells.joined(separator: " | ") + " |\n" }
        return line(header) + line(header.indices.map { $0 == 0 ? "---" : "---:" }) + rows.map(line).joined()
    }
}
