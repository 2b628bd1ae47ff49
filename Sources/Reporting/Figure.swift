/// A chart with all that belongs to it: title, explanation, legend, drawings, and the figures themselves to open.
struct Figure {
    struct Key {
        enum Shape { case area, lightArea, line, dots }

        var shape: Shape
        var classes: String
        var label: String
    }

    var title: String
    /// What is shown, and how to read it.
    var note: String
    var legend: [Key] = []
    var drawings: [Markup]
    var table: DataTable
    /// Takes the page's whole width.
    var isWide = false

    var markup: Markup {
        var children: [Markup] = [
            .element("figcaption", [:], [.element("h3", [:], [.text(title)]), .element("p", [:], [.text(note)])])
        ]
        if legend.count > 1 {
            let keys = legend.map { Markup.element("li", [:], [Self.swatch($0), .text($0.label)]) }
            children.append(.element("ul", ["class": "legend"], keys))
        }
        children += drawings.map { .element("div", ["class": "scroll"], [$0]) }
        children.append(.element("details", [:], [.element("summary", [:], ["Figures"]), table.markup]))
        return .element("figure", isWide ? ["class": "wide"] : [:], children)
    }

    private static func swatch(_ key: Key) -> Markup {
        let mark: [Markup]
        switch key.shape {
        case .area: mark = [.rectangle(x: 2, y: 1, width: 16, height: 10, "area \(key.classes)")]
        case .lightArea: mark = [.rectangle(x: 2, y: 1, width: 16, height: 10, "light area \(key.classes)")]
        case .line: mark = [.line(0, 6, 20, 6, "line \(key.classes)")]
        case .dots: mark = [.line(0, 6, 20, 6, "join \(key.classes)"), .dot(10, 6, radius: 3.5, "dot \(key.classes)")]
        }
        return .element(
            "svg", ["class": "swatch", "viewBox": "0 0 20 12", "width": "20", "height": "12", "aria-hidden": "true"], mark)
    }
}
