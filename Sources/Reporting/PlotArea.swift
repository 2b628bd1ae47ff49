/// A chart's paper: size, margins, two axes, and the marks drawn between them. Lengths are in pixels of the SVG's own view box.
struct PlotArea {
    /// What stands below and beside the marks.
    enum Axis {
        case scale(AxisScale)
        /// Names of equal cells.
        case categories([String])
    }

    static let fontSize = 11.0
    /// A digit's width at that size, the widest that fonts of screens have.
    static let characterWidth = 6.4
    private static let margin = 10.0

    let width: Double
    let height: Double
    let horizontal: Axis
    let vertical: Axis
    let horizontalTitle: String
    let verticalTitle: String
    /// The pixels that marks may cover.
    let left: Double
    let right: Double
    let top: Double
    let bottom: Double
    private let isTurned: Bool

    /// `height` is that of the marks alone; axes and titles are added below.
    init(
        width: Double = 640, height: Double = 240, horizontal: Axis, horizontalTitle: String,
        vertical: Axis, verticalTitle: String
    ) {
        self.width = width
        self.horizontalTitle = horizontalTitle
        self.verticalTitle = verticalTitle
        let labels = Self.labels(vertical)
        let longest = Double(labels.map(\.count).max() ?? 0) * Self.characterWidth
        left = (20 + 8 + longest).rounded(.up)
        right = width - 14
        top = Self.margin
        bottom = Self.margin + height
        let names = Self.labels(horizontal)
        let widest = Double(names.map(\.count).max() ?? 0) * Self.characterWidth
        // Names that do not fit side by side are turned.
        if case .categories = horizontal, widest + 6 > (right - left) / Double(max(names.count, 1)) {
            isTurned = true
            self.height = (bottom + widest + 34).rounded(.up)
        } else {
            isTurned = false
            self.height = bottom + 40
        }
        switch horizontal {
        case let .scale(scale): self.horizontal = .scale(scale.placed(from: left, to: right))
        case .categories: self.horizontal = horizontal
        }
        switch vertical {
        case let .scale(scale): self.vertical = .scale(scale.placed(from: bottom, to: top))
        case .categories: self.vertical = vertical
        }
    }

    /// The pixel of a value on the axis below; of a category, counted from 0, the left edge of its cell.
    func x(_ value: Double) -> Double {
        switch horizontal {
        case let .scale(scale): scale.position(value)
        case let .categories(names): left + (right - left) * value / Double(names.count)
        }
    }

    /// The pixel of a value on the axis beside; of a category, counted from 0, the upper edge of its cell.
    func y(_ value: Double) -> Double {
        switch vertical {
        case let .scale(scale): scale.position(value)
        case let .categories(names): top + (bottom - top) * value / Double(names.count)
        }
    }

    /// The chart: axes, then marks over them. `description` is what a screen reader says of it.
    func drawing(_ marks: [Markup], description: String) -> Markup {
        .element(
            "svg",
            [
                "viewBox": "0 0 \(NumberText.pixels(width)) \(NumberText.pixels(height))", "role": "img",
                "aria-label": description, "class": "plot",
            ],
            [.element("g", ["class": "axes"], horizontalMarks + verticalMarks), .element("g", ["class": "marks"], marks)])
    }

    private static func labels(_ axis: Axis) -> [String] {
        switch axis {
        case let .scale(scale): scale.ticks.map(scale.label)
        case let .categories(names): names
        }
    }

    private var horizontalMarks: [Markup] {
        var marks: [Markup] = [.line(left, bottom, right, bottom, "axis")]
        switch horizontal {
        case let .scale(scale):
            for tick in scale.ticks {
                let x = scale.position(tick)
                marks.append(.line(x, bottom, x, bottom + 4, "axis"))
                marks.append(.label(scale.label(tick), x, bottom + 17, "middle"))
            }
        case let .categories(names):
            let cell = (right - left) / Double(max(names.count, 1))
            // Where even turned names are taller than their cells, only some are written.
            let every = max(1, Int(((Self.fontSize + 1) / cell).rounded(.up)))
            for (index, name) in names.enumerated() where index % every == 0 {
                let x = x(Double(index) + 0.5)
                marks.append(isTurned ? .turnedLabel(name, x + 4, bottom + 7, "end") : .label(name, x, bottom + 17, "middle"))
            }
        }
        marks.append(.label(horizontalTitle, (left + right) / 2, height - 6, "middle", "title"))
        return marks
    }

    private var verticalMarks: [Markup] {
        var marks: [Markup] = []
        switch vertical {
        case let .scale(scale):
            for tick in scale.ticks {
                let y = scale.position(tick)
                marks.append(.line(left, y, right, y, "rule"))
                marks.append(.label(scale.label(tick), left - 6, y + 4, "end"))
            }
        case let .categories(names):
            let cell = (bottom - top) / Double(max(names.count, 1))
            let every = max(1, Int(((Self.fontSize + 1) / cell).rounded(.up)))
            for (index, name) in names.enumerated() where index % every == 0 {
                marks.append(.label(name, left - 6, y(Double(index) + 0.5) + 4, "end"))
            }
        }
        marks.append(.turnedLabel(verticalTitle, 12, (top + bottom) / 2, "middle", "title"))
        return marks
    }
}
