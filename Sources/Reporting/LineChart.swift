/// Curves over updates. A long curve is drawn by bins: their mean as a line, their least and largest value as a band.
struct LineChart {
    struct Series {
        enum Style { case line, dots }

        var mark: RunMark
        /// The run's name.
        var run: String
        /// Which of the run's curves it is, where a chart has several.
        var part: String?
        var style = Style.line
        var values: [(update: Int, value: Double)]

        var label: String { part.map { "\(run), \($0)" } ?? run }
    }

    enum Extent {
        /// The values' own; logarithmic if they are of very different sizes.
        case fitting
        /// An axis from a value, which is the least there can be.
        case from(Double)
        case logarithmic
    }

    /// Bins at most: what a screen can show apart, so that a report stays small however long the run.
    static let bins = 150

    var title: String
    var note: String
    /// What the axis beside measures, with its unit.
    var measure: String
    var extent = Extent.fitting
    var series: [Series]
    var format: (Double) -> String = NumberText.figure

    /// The drawing; nil if no series has a finite value.
    func figure(_ bins: UpdateBins) -> Figure? {
        let summaries = series.map { bins.summaries($0.values) }
        let finite = summaries.joined().compactMap { $0 }.filter { $0.mean != nil }
        guard let low = finite.map(\.low).min(), let high = finite.map(\.high).max() else { return nil }
        let updates = AxisScale.updates(Double(bins.updates.lowerBound)...Double(bins.updates.upperBound))
        let area = PlotArea(
            horizontal: .scale(updates), horizontalTitle: "update", vertical: .scale(scale(low, high)), verticalTitle: measure)
        // Many dots would hide what is behind them.
        let dots = zip(series, summaries).filter { $0.0.style == .dots }.map { $0.1.count { $0 != nil } }.max() ?? 0
        let radius = dots > 40 ? 1.2 : 3
        var marks: [Markup] = []
        for (series, summaries) in zip(series, summaries) {
            let pieces = Self.pieces(summaries)
            if series.style == .line {
                for piece in pieces where bins.width > 1 { marks.append(band(piece, summaries, bins, area, series)) }
            }
            for piece in pieces { marks += curve(piece, summaries, bins, area, series, dotRadius: radius) }
        }
        marks += columns(summaries, bins, area)
        return Figure(
            title: title, note: note + binNote(bins), legend: legend,
            drawings: [area.drawing(marks, description: "\(title), curves over updates")], table: table(summaries, bins))
    }

    /// A key for each series; where runs have several curves, for each run and for each kind of curve.
    private var legend: [Figure.Key] {
        func shape(_ series: Series) -> Figure.Key.Shape { series.style == .line ? .line : .dots }
        let parts = firsts(\.part).filter { $0.part != nil }, runs = firsts(\.mark.index)
        guard parts.count > 1, runs.count > 1 else {
            return series.map { .init(shape: shape($0), classes: $0.mark.classes, label: $0.label) }
        }
        return runs.map { .init(shape: .area, classes: $0.mark.classes, label: $0.run) }
            + parts.map { .init(shape: shape($0), classes: "plain", label: $0.part ?? "") }
    }

    /// The first series of each value.
    private func firsts(_ value: (Series) -> some Hashable) -> [Series] {
        series.enumerated().filter { index, one in !series[..<index].contains { value($0) == value(one) } }.map(\.element)
    }

    private func binNote(_ bins: UpdateBins) -> String {
        guard bins.width > 1, series.contains(where: { $0.style == .line }) else { return "" }
        return " Lines are means of \(NumberText.count(bins.width)) updates, bands their least to largest."
    }

    private func scale(_ low: Double, _ high: Double) -> AxisScale {
        switch extent {
        case .fitting: .fitting(low...high)
        case let .from(least): .linear(min(least, low)...max(high, least))
        case .logarithmic: low > 0 ? .logarithmic(low...high) : .linear(low...high)
        }
    }

    /// The bins with values, cut where an update's value was not finite and none beside it was.
    private static func pieces(_ summaries: [UpdateBins.Summary?]) -> [[Int]] {
        var pieces: [[Int]] = [[]]
        for (index, summary) in summaries.enumerated() {
            guard let summary else { continue }
            if summary.mean == nil { pieces.append([]) } else { pieces[pieces.count - 1].append(index) }
        }
        return pieces.filter { !$0.isEmpty }
    }

    private func band(
        _ piece: [Int], _ summaries: [UpdateBins.Summary?], _ bins: UpdateBins, _ area: PlotArea, _ series: Series
    ) -> Markup {
        let upper = piece.map { (x: area.x(bins.middle(of: $0)), y: area.y(summaries[$0]!.high)) }
        let lower = piece.reversed().map { (x: area.x(bins.middle(of: $0)), y: area.y(summaries[$0]!.low)) }
        return .path(upper + lower, isClosed: true, "band \(series.mark.classes)")
    }

    private func curve(
        _ piece: [Int], _ summaries: [UpdateBins.Summary?], _ bins: UpdateBins, _ area: PlotArea, _ series: Series,
        dotRadius: Double
    ) -> [Markup] {
        let points = piece.map { (x: area.x(bins.middle(of: $0)), y: area.y(summaries[$0]!.mean!)) }
        var marks: [Markup] = []
        if points.count > 1 { marks.append(.path(points, "\(series.style == .line ? "line" : "join") \(series.mark.classes)")) }
        guard series.style == .dots || points.count == 1 else { return marks }
        return marks + points.map { .dot($0.x, $0.y, radius: dotRadius, "dot \(series.mark.classes)") }
    }

    /// A strip over each bin that tells, pointed at, what every curve is there.
    private func columns(_ summaries: [[UpdateBins.Summary?]], _ bins: UpdateBins, _ area: PlotArea) -> [Markup] {
        let shown = (0..<bins.count).filter { index in summaries.contains { $0[index] != nil } }
        return shown.enumerated().map { place, index in
            let middle = area.x(bins.middle(of: index))
            let before = place == 0 ? area.left : (area.x(bins.middle(of: shown[place - 1])) + middle) / 2
            let after = place == shown.count - 1 ? area.right : (area.x(bins.middle(of: shown[place + 1])) + middle) / 2
            let lines = zip(series, summaries).compactMap { series, summaries in
                summaries[index].map { "\n\(series.label): \(text($0))" }
            }
            return .rectangle(
                x: before, y: area.top, width: after - before, height: area.bottom - area.top, "column",
                tooltip: "\(bins.updates(of: index).count == 1 ? "update" : "updates") \(bins.label(index))" + lines.joined())
        }
    }

    private func table(_ summaries: [[UpdateBins.Summary?]], _ bins: UpdateBins) -> DataTable {
        let shown = (0..<bins.count).filter { index in summaries.contains { $0[index] != nil } }
        return DataTable(
            header: [bins.width > 1 ? "updates" : "update"] + series.map(\.label),
            rows: shown.map { index in [bins.label(index)] + summaries.map { $0[index].map(text) ?? "" } })
    }

    private func text(_ summary: UpdateBins.Summary) -> String {
        guard let mean = summary.mean else { return "not finite" }
        let range = summary.count > 1 ? " (\(format(summary.low)) to \(format(summary.high)))" : ""
        return format(mean) + range + (summary.notFinite > 0 ? ", \(summary.notFinite) not finite" : "")
    }
}
