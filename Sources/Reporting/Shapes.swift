/// The shapes that charts are drawn with. Lengths are in pixels.
extension Markup {
    static func line(_ x1: Double, _ y1: Double, _ x2: Double, _ y2: Double, _ classes: String) -> Markup {
        .element(
            "line",
            [
                "class": classes, "x1": NumberText.pixels(x1), "y1": NumberText.pixels(y1), "x2": NumberText.pixels(x2),
                "y2": NumberText.pixels(y2),
            ])
    }

    static func rectangle(
        x: Double, y: Double, width: Double, height: Double, _ classes: String, tooltip: String? = nil
    ) -> Markup {
        .element(
            "rect",
            [
                "class": classes, "x": NumberText.pixels(x), "y": NumberText.pixels(y), "width": NumberText.pixels(width),
                "height": NumberText.pixels(height),
            ], tooltip.map { [.tooltip($0)] } ?? [])
    }

    /// A rectangle of a colour of its own.
    static func cell(x: Double, y: Double, width: Double, height: Double, fill: String, tooltip: String? = nil) -> Markup {
        .element(
            "rect",
            [
                "class": "cell", "x": NumberText.pixels(x), "y": NumberText.pixels(y), "width": NumberText.pixels(width),
                "height": NumberText.pixels(height), "fill": fill,
            ], tooltip.map { [.tooltip($0)] } ?? [])
    }

    static func dot(_ x: Double, _ y: Double, radius: Double, _ classes: String, tooltip: String? = nil) -> Markup {
        .element(
            "circle",
            ["class": classes, "cx": NumberText.pixels(x), "cy": NumberText.pixels(y), "r": NumberText.pixels(radius)],
            tooltip.map { [.tooltip($0)] } ?? [])
    }

    /// Straight lines through the points; closed, they are an area.
    static func path(
        _ points: [(x: Double, y: Double)], isClosed: Bool = false, _ classes: String, tooltip: String? = nil
    ) -> Markup {
        var steps = ""
        for (index, point) in points.enumerated() {
            steps += "\(index == 0 ? "M" : "L")\(NumberText.pixels(point.x)) \(NumberText.pixels(point.y))"
        }
        return .element("path", ["class": classes, "d": steps + (isClosed ? "Z" : "")], tooltip.map { [.tooltip($0)] } ?? [])
    }

    static func label(_ text: String, _ x: Double, _ y: Double, _ anchor: String, _ classes: String = "label") -> Markup {
        .element(
            "text", ["class": classes, "x": NumberText.pixels(x), "y": NumberText.pixels(y), "text-anchor": anchor],
            [.text(text)])
    }

    /// Reads upwards.
    static func turnedLabel(_ text: String, _ x: Double, _ y: Double, _ anchor: String, _ classes: String = "label") -> Markup {
        let place = "\(NumberText.pixels(x)) \(NumberText.pixels(y))"
        return .element(
            "text", ["class": classes, "transform": "translate(\(place)) rotate(-90)", "text-anchor": anchor], [.text(text)])
    }
}
