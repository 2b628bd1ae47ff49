import Foundation

/// Two distributions for each category, side by side: their densities over a logarithmic axis, with quartiles and median.
struct ViolinChart {
    struct Series {
        /// Drawn lighter, to be told from the other of the same run.
        var isLight: Bool
        var label: String
        /// Positive values, a list a category.
        var values: [[Double]]
        /// What a category's tooltip adds.
        var details: [String]
    }

    var title: String
    var note: String
    var subject: String
    var categories: [String]
    var measure: String
    var mark: RunMark
    var series: [Series]
    var table: DataTable

    private static let steps = 48

    /// The drawing; nil if all samples are empty.
    func figure() -> Figure? {
        let all = series.flatMap(\.values).joined()
        guard let low = all.min(), let high = all.max() else { return nil }
        precondition(low > 0, "an axis of powers of ten has no room for \(low)")
        let scale = AxisScale.logarithmic(low...high)
        let area = PlotArea(
            horizontal: .categories(categories), horizontalTitle: subject, vertical: .scale(scale), verticalTitle: measure)
        // Side by side in the middle of a category's cell, with air between them.
        let share = (area.x(1) - area.x(0)) / Double(series.count), half = min(share * 0.42, 34), pitch = min(share, 2.2 * half)
        var marks: [Markup] = []
        for (index, series) in series.enumerated() {
            for (category, values) in series.values.enumerated() where !values.isEmpty {
                let offset = (Double(index) - Double(self.series.count - 1) / 2) * pitch
                let centre = area.x(Double(category) + 0.5) + offset
                marks += violin(values, at: centre, half, area, scale, series, category)
            }
        }
        return Figure(
            title: title, note: note,
            legend: series.map { .init(shape: $0.isLight ? .lightArea : .area, classes: mark.classes, label: $0.label) },
            drawings: [area.drawing(marks, description: "\(title), violins")], table: table)
    }

    /// The density of the values' logarithms, `half` pixels to either side where it is largest.
    private func violin(
        _ values: [Double], at centre: Double, _ half: Double, _ area: PlotArea, _ scale: AxisScale, _ series: Series,
        _ category: Int
    ) -> [Markup] {
        let density = KernelDensity(values.map(log10), narrowest: 0.02)
        let ends = (log10(scale.domain.lowerBound), log10(scale.domain.upperBound))
        let from = max(density.values[0] - 2 * density.bandwidth, ends.0)
        let to = min(density.values[density.values.count - 1] + 2 * density.bandwidth, ends.1)
        let places = (0...Self.steps).map { from + (to - from) * Double($0) / Double(Self.steps) }
        let widths = places.map(density.density(at:))
        let unit = half / max(widths.max() ?? 1, .leastNormalMagnitude)
        let right = zip(places, widths).map { (x: centre + $1 * unit, y: area.y(pow(10, $0))) }
        let left = zip(places, widths).reversed().map { (x: centre - $1 * unit, y: area.y(pow(10, $0))) }
        let quartiles = [0.25, 0.5, 0.75].map { pow(10, density.quantile($0)) }
        let tooltip = """
            \(categories[category]), \(series.label)
            median \(NumberText.figure(quartiles[1])), half of them \(NumberText.figure(quartiles[0])) to \
            \(NumberText.figure(quartiles[2])), \(values.count) tokens
            \(series.details[category])
            """
        return [
            .path(
                right + left, isClosed: true, "violin area \(series.isLight ? "light " : "")\(mark.classes)", tooltip: tooltip),
            .line(centre, area.y(quartiles[0]), centre, area.y(quartiles[2]), "quartiles"),
            .dot(centre, area.y(quartiles[1]), radius: 2.5, "median"),
        ]
    }
}
