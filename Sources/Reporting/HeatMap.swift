/// A matrix as cells of a colour scale, with the scale beside it.
struct HeatMap {
    var title: String
    var note: String
    /// The axis below: updates, or names of the columns.
    var horizontal: PlotArea.Axis
    var horizontalTitle: String
    /// The left and right end of each column on that axis.
    var columns: [ClosedRange<Double>]
    var rows: [String]
    var rowsTitle: String
    /// Values, [row][column]; nil is drawn as nothing.
    var values: [[Double?]]
    /// What colours measure, with its unit.
    var measure: String
    var scale: AxisScale
    /// A cell's tooltip, given its row and column.
    var tooltip: (Int, Int) -> String
    var table: DataTable

    func figure() -> Figure {
        // Square cells where there are few columns; otherwise rows that can be pointed at.
        let rowHeight = min(28, max(12, 360 / Double(max(rows.count, 1))))
        let area = PlotArea(
            height: max(rowHeight * Double(rows.count), 60), horizontal: horizontal, horizontalTitle: horizontalTitle,
            vertical: .categories(rows), verticalTitle: rowsTitle)
        var marks: [Markup] = []
        let low = scale.domain.lowerBound, width = scale.domain.upperBound - low
        for (row, cells) in values.enumerated() {
            let top = area.y(Double(row)), bottom = area.y(Double(row) + 1)
            for (column, value) in cells.enumerated() {
                guard let value else { continue }
                let left = area.x(columns[column].lowerBound), right = area.x(columns[column].upperBound)
                marks.append(
                    .cell(
                        x: left, y: top, width: right - left, height: bottom - top,
                        fill: SequentialScale.colour((value - low) / width), tooltip: tooltip(row, column)))
            }
        }
        return Figure(
            title: title, note: note, drawings: [area.drawing(marks, description: "\(title), heat map"), colourBar],
            table: table)
    }

    /// The scale of colours: a bar of steps with the ticks of `scale`.
    private var colourBar: Markup {
        let left = 130.0, right = 430.0, steps = 60
        let axis = scale.placed(from: left, to: right)
        var marks: [Markup] = [.label(measure, left - 10, 14, "end", "title")]
        for step in 0..<steps {
            let width = (right - left) / Double(steps)
            marks.append(
                .cell(
                    x: left + Double(step) * width, y: 4, width: width, height: 12,
                    fill: SequentialScale.colour((Double(step) + 0.5) / Double(steps))))
        }
        for tick in axis.ticks {
            let x = axis.position(tick)
            marks.append(.line(x, 16, x, 20, "axis"))
            marks.append(.label(axis.label(tick), x, 31, "middle"))
        }
        return .element(
            "svg", ["viewBox": "0 0 640 36", "role": "img", "aria-label": "scale of colours", "class": "plot"], marks)
    }
}
