/// Runs side by side as one page of HTML that needs no other file.
public struct Report: Sendable {
    let runs: [RunFigures]
    /// When the figures were read.
    let date: String
    /// Seconds after which a browser is to load the page again; nil: never.
    let reloadSeconds: Int?

    /// `runs` must not be empty.
    public init(runs: [RunFigures], date: String, reloadSeconds: Int? = nil) {
        precondition(!runs.isEmpty)
        self.runs = runs
        self.date = date
        self.reloadSeconds = reloadSeconds
    }

    public var html: String { "<!DOCTYPE html>\n" + page.rendered }

    /// A part of the page; the navigation links to it.
    struct Section {
        var id: String
        var title: String
        var children: [Markup]
    }

    var sections: [Section] {
        let ofExperts = runs.allSatisfy(\.isDense) ? [] : [expertLoad, requestedCapacity, routing]
        return [summary, curves] + ofExperts + [translation, configuration]
    }

    private var page: Markup {
        let sections = sections
        let title = runs.map(\.name).joined(separator: ", ")
        return .element(
            "html", ["lang": "en"],
            [
                .element(
                    "head", [:],
                    [
                        .element("meta", ["charset": "utf-8"]),
                        .element("meta", ["name": "viewport", "content": "width=device-width, initial-scale=1"]),
                    ] + (reloadSeconds.map { [.element("meta", ["http-equiv": "refresh", "content": "\($0)"])] } ?? []) + [
                        .element("title", [:], [.text("\(title) · Strata report")]),
                        .element("style", [:], [.verbatim(Self.style)]),
                    ]),
                .element(
                    "body", [:],
                    [header(title, sections)] + (runs.count > 1 ? [switches] : [])
                        + sections.map { section in
                            .element(
                                "section", ["id": section.id], [.element("h2", [:], [.text(section.title)])] + section.children)
                        } + (runs.count > 1 ? [.element("script", [:], [.verbatim(Self.script)])] : [])),
            ])
    }

    private func header(_ title: String, _ sections: [Section]) -> Markup {
        .element(
            "header", [:],
            [
                .element("h1", [:], [.text(title)]),
                .element("p", ["class": "date"], [.text("Strata report, figures read \(date)")]),
                .element(
                    "nav", [:],
                    sections.map { .element("a", ["href": "#\($0.id)"], [.text($0.title)]) }),
            ])
    }

    /// A button for each run, in its colour, which hides its marks in all charts; without script it is a legend.
    private var switches: Markup {
        .element(
            "ul", ["class": "runs"],
            runs.indices.map { index in
                .element(
                    "li", [:],
                    [
                        .element(
                            "button", ["type": "button", "data-run": "\(index)", "aria-pressed": "true"],
                            [
                                .element("span", ["class": "patch \(mark(index).colour)"]),
                                .text(runs[index].name),
                            ])
                    ])
            })
    }

    func mark(_ index: Int) -> RunMark { RunMark(index: index) }

    /// Says what is not there, and how to get it.
    static func absent(_ text: String) -> Markup { .element("p", ["class": "absent"], [.text(text)]) }

    static func grid(_ figures: [Figure]) -> Markup { .element("div", ["class": "grid"], figures.map(\.markup)) }

    /// The names of runs in a sentence.
    static func names(_ runs: [RunFigures]) -> String { runs.map(\.name).joined(separator: ", ") }
}
