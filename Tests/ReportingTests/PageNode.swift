import Foundation

#if canImport(FoundationXML)
import FoundationXML
#endif

@testable import Reporting

/// An element of a page, as an XML parser that knows nothing of HTML reads it.
final class PageNode {
    struct NotWellFormed: Error, CustomStringConvertible {
        let description: String
    }

    let name: String
    let attributes: [String: String]
    private let classes: Set<Substring>
    fileprivate(set) var children: [PageNode] = []
    /// Of the element and all in it.
    fileprivate(set) var text = ""

    fileprivate init(name: String, attributes: [String: String]) {
        self.name = name
        self.attributes = attributes
        classes = Set((attributes["class"] ?? "").split(separator: " "))
    }

    convenience init(_ text: String) throws {
        let reader = Reader(), parser = XMLParser(data: Data(text.utf8))
        parser.delegate = reader
        guard parser.parse(), let root = reader.document.children.first else {
            throw NotWellFormed(description: "line \(parser.lineNumber): \(parser.parserError.map { "\($0)" } ?? "empty")")
        }
        self.init(name: root.name, attributes: root.attributes)
        (children, self.text) = (root.children, root.text)
    }

    convenience init(_ markup: Markup) throws { try self.init(markup.rendered) }

    /// All below of a name and, if given, with all of some classes, in order.
    func all(_ name: String, _ classes: String = "") -> [PageNode] {
        var found: [PageNode] = []
        collect(name, Set(classes.split(separator: " ")), &found)
        return found
    }

    private func collect(_ name: String, _ wanted: Set<Substring>, _ found: inout [PageNode]) {
        for child in children {
            if child.name == name, wanted.isSubset(of: child.classes) { found.append(child) }
            child.collect(name, wanted, &found)
        }
    }

    func number(_ attribute: String) -> Double { attributes[attribute].flatMap(Double.init) ?? .nan }

    /// The points of a path of straight lines.
    var points: [(x: Double, y: Double)] {
        (attributes["d"] ?? "").replacing("Z", with: "").split(whereSeparator: { "ML".contains($0) }).map { pair in
            let numbers = pair.split(separator: " ").map { Double($0) ?? .nan }
            return (numbers[0], numbers[1])
        }
    }

    /// What a pointed-at mark says.
    var tooltip: String { children.first { $0.name == "title" }?.text ?? "" }

    private final class Reader: NSObject, XMLParserDelegate {
        let document = PageNode(name: "", attributes: [:])
        private lazy var open = [document]

        func parser(
            _ parser: XMLParser, didStartElement name: String, namespaceURI: String?, qualifiedName: String?,
            attributes: [String: String]
        ) {
            let node = PageNode(name: name, attributes: attributes)
            open[open.count - 1].children.append(node)
            open.append(node)
        }

        func parser(_ parser: XMLParser, didEndElement name: String, namespaceURI: String?, qualifiedName: String?) {
            open.removeLast()
        }

        func parser(_ parser: XMLParser, foundCharacters text: String) {
            for node in open { node.text += text }
        }
    }
}

/// The pixels between which a chart of the usual size draws, given the labels of the axis beside it.
func left(ofLabelsWith characters: Int) -> Double { (28 + Double(characters) * 6.4).rounded(.up) }
let right = 626.0
let top = 10.0
let bottom = 250.0
