/// A piece of a page: an element of HTML or of SVG, or text. What it renders to is both HTML and well-formed XML.
///
/// Text and attributes are escaped where they are rendered and nowhere else, so that no name or value of a run can become an
/// element.
public indirect enum Markup: Sendable, ExpressibleByStringInterpolation {
    case element(name: String, attributes: [Attribute], children: [Markup])
    case text(String)
    /// Style or script: their text is no markup and has no escapes.
    case verbatim(String)

    public struct Attribute: Sendable {
        var name: String
        var value: String
    }

    public init(stringLiteral value: String) { self = .text(value) }

    static func element(
        _ name: String, _ attributes: KeyValuePairs<String, String> = [:], _ children: [Markup] = []
    ) -> Markup {
        .element(name: name, attributes: attributes.map { Attribute(name: $0.key, value: $0.value) }, children: children)
    }

    /// A mark's tooltip; as the first child of an SVG element browsers show it, and screen readers say it.
    static func tooltip(_ text: String) -> Markup { .element("title", [:], [.text(text)]) }

    public var rendered: String {
        var text = ""
        render(into: &text)
        return text
    }

    private func render(into text: inout String) {
        switch self {
        case let .text(content): Self.escape(content, into: &text)
        case let .verbatim(content):
            precondition(!content.utf8.contains { $0 == UInt8(ascii: "<") || $0 == UInt8(ascii: "&") })
            text += content
        case let .element(name, attributes, children):
            text += "<\(name)"
            for attribute in attributes {
                text += " \(attribute.name)=\""
                Self.escape(attribute.value, into: &text)
                text += "\""
            }
            if children.isEmpty, Self.empty.contains(name) {
                text += "/>"
            } else {
                text += ">"
                for child in children { child.render(into: &text) }
                text += "</\(name)>"
            }
            if Self.ownLine.contains(name) { text += "\n" }
        }
    }

    /// Elements that HTML closes at once, and SVG's shapes. HTML takes others that are written so for open ones.
    private static let empty: Set = ["meta", "rect", "line", "path", "circle", "stop"]
    private static let ownLine: Set = [
        "head", "meta", "style", "script", "section", "figure", "table", "tr", "p", "h1", "h2", "h3", "g", "ul", "li",
    ]

    private static func escape(_ content: String, into text: inout String) {
        for scalar in content.unicodeScalars {
            switch scalar {
            case "&": text += "&amp;"
            case "<": text += "&lt;"
            case ">": text += "&gt;"
            case "\"": text += "&quot;"
            case "\n", "\t": text.unicodeScalars.append(scalar)
            // XML has no way to say these.
            case "\u{0}"..."\u{1F}", "\u{7F}"..."\u{9F}", "\u{FFFE}", "\u{FFFF}": text += "\u{FFFD}"
            default: text.unicodeScalars.append(scalar)
            }
        }
    }
}
