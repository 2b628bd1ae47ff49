/// Bars side by side for each category, one a series. Many categories are drawn in several rows.
struct BarChart {
    struct Series {
        var mark: RunMark
        var label: String
        /// One a category; nil where there is none.
        var values: [Double?]
    }

    var title: String
    var note: String
    /// What the categories are: the title of the axis below.
    var subject: String
    var categories: [String]
    /// What the bars measure, with its unit.
    var measure: String
    /// The value at which bars begin: the least that there can be.
    var baseline = 0.0
    /// A value that the axis reaches at least, so that charts can be compared.
    var reaches: Double?
    var series: [Series]
    var format: (Double) -> String = NumberText.figure

    /// The least width of a bar, in pixels, before a chart takes the page's width, and then another row.
    private static let narrowestBar = 9.0
    private static let widths = (narrow: 640.0, wide: 1300.0)

    /// The drawing; nil if no series has a finite value.
    func figure() -> Figure? {
        let values = series.flatMap(\.values).compactMap { $0 }.filter(\.isFinite)
        guard let high = values.max(), let low = values.min() else { return nil }
        let group = Double(series.count) * Self.narrowestBar + 8
        let isWide = group * Double(categories.count) > Self.widths.narrow - 60
        let width = isWide ? Self.widths.wide : Self.widths.narrow
        let rows = max(1, Int((group * Double(categories.count) / (width - 60)).rounded(.up)))
        let perRow = (categories.count + rows - 1) / rows
        let top = max(high, baseline, reaches ?? high)
        let scale = AxisScale.linear(min(low, baseline)...(top > baseline ? top : baseline + 1))
        let drawings = stride(from: 0, to: categories.count, by: perRow).map { start in
            drawing(start..<min(start + perRow, categories.count), of: perRow, width, scale)
        }
        return Figure(
            title: title, note: note, legend: series.map { .init(shape: .area, classes: $0.mark.classes, label: $0.label) },
            drawings: drawings, table: table, isWide: isWide)
    }

    /// One row of categories; the last may have fewer, in cells of the same width.
    private func drawing(_ shown: Range<Int>, of perRow: Int, _ width: Double, _ scale: AxisScale) -> Markup {
        let names = shown.map { categories[$0] } + [String](repeating: "", count: perRow - shown.count)
        let area = PlotArea(
            width: width, horizontal: .categories(names), horizontalTitle: subject, vertical: .scale(scale),
            verticalTitle: measure)
        let cell = area.x(1) - area.x(0)
        // A single bar does not become a wall.
        let bar = min((cell - min(8, cell * 0.2)) / Double(series.count), 48)
        var marks: [Markup] = []
        for (place, category) in shown.enumerated() {
            let start = area.x(Double(place) + 0.5) - bar * Double(series.count) / 2
            for (index, series) in series.enumerated() {
                guard let value = series.values[category], value.isFinite else { continue }
                // A bar of no height is a line.
                let top = area.y(max(value, baseline)), height = max(area.y(min(value, baseline)) - top, 1)
                marks.append(
                    .rectangle(
                        x: start + Double(index) * bar, y: min(top, area.bottom - 1), width: max(bar - 1, 0.5), height: height,
                        "bar area \(series.mark.classes)",
                        tooltip: "\(categories[category])\n\(series.label): \(format(value))"))
            }
        }
        return area.drawing(marks, description: "\(title), bars")
    }

    private var table: DataTable {
        DataTable(
            header: [subject] + series.map(\.label),
            rows: categories.indices.map { index in [categories[index]] + series.map { $0.values[index].map(format) ?? "–" } })
    }
}
