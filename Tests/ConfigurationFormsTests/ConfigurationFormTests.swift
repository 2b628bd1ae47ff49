import ConfigurationForms
import Testing

/// A section as a method's file defines it: with nothing but what the library offers.
@Suite struct ConfigurationFormTests {
    private struct Gate: Equatable {
        enum Kind: String, CaseIterable { case soft, hard }

        var kind = Kind.soft
        var threshold: Float = 0.5
        var limit: Int?

        static var form: ConfigurationForm<Gate> {
            .section(
                [
                    .init("kind", \.kind, .choice),
                    .init("threshold", \.threshold, .number(.from(0, below: 1)), isWritten: { $0.kind == .hard }),
                    .init("limit", \.limit, .either("none", or: .integer(1...8))),
                ],
                over: Gate())
        }

        func validate(_ path: String, _ problems: ConfigurationProblems) {
            problems.require(
                kind == .hard || limit == nil, "\(path).limit", "\(path).kind",
                text: "must be none with \(path).kind: soft, but is \(limit ?? 0)")
        }
    }

    private struct Whole: Equatable {
        var gate = Gate()
        var names: [String] = []

        static var form: ConfigurationForm<Whole> {
            .section(
                [
                    .init("gate", \.gate, Gate.form),
                    .init("names", \.names, .listOrOne(of: .text("a name"), count: 1...2), isRequired: true),
                ],
                over: Whole())
        }
    }

    private static func map(_ entries: (String, ConfigurationNode.Content)...) -> ConfigurationNode.Content {
        .map(
            entries.enumerated().map { line, entry in
                .init(key: entry.0, node: .init(content: entry.1, origin: .init(source: "a.yaml", line: line + 1)))
            })
    }

    private static func plain(_ text: String) -> ConfigurationNode.Content { .scalar(text, quoted: false) }

    private func read(_ content: ConfigurationNode.Content) throws -> Whole {
        let root = ConfigurationNode(content: content, origin: .init(source: "a.yaml", line: nil))
        return try Whole.form.read(root: root) { $0.gate.validate("gate", $1) }
    }

    private func problems(_ content: ConfigurationNode.Content) -> [String] {
        do {
            _ = try read(content)
            return []
        } catch {
            return (error as? ConfigurationError)?.problems.map(\.description) ?? ["\(error)"]
        }
    }

    @Test func whatIsWrittenIsReadAgain() throws {
        let whole = Whole(gate: Gate(kind: .hard, threshold: 0.25, limit: 3), names: ["a", "b c"])
        let written = try #require(Whole.form.write(whole))
        #expect(try read(written) == whole)
        guard case .map(let entries) = written else { return #expect(Bool(false), "a section is a map") }
        #expect(
            ConfigurationWriter.yaml(entries)
                == "gate:\n  kind: hard\n  threshold: 0.25\n  limit: 3\nnames: [a, \"b c\"]\n")
        #expect(
            ConfigurationWriter.values(entries, under: "").map(\.path) == [
                "gate.kind", "gate.threshold", "gate.limit", "names",
            ])
        guard case .map(let softEntries) = Whole.form.write(Whole(names: ["a"])) else { return }
        #expect(ConfigurationWriter.yaml(softEntries) == "gate:\n  kind: soft\n  limit: none\nnames: [a]\n")
    }

    @Test func keysThatAreNotWrittenKeepTheirValue() throws {
        #expect(try read(Self.map(("names", Self.plain("a")))) == Whole(names: ["a"]))
        #expect(Whole.form.keys("") == ["gate", "gate.kind", "gate.threshold", "gate.limit", "names"])
    }

    @Test func everythingThatIsWrongIsSaid() {
        let gate = Self.map(("kind", Self.plain("hrad")), ("threshold", Self.plain("1")), ("names", Self.plain("a")))
        #expect(
            problems(Self.map(("gate", gate))) == [
                "a.yaml:1: gate.kind must be soft or hard, but is hrad; did you mean hard?",
                "a.yaml:2: gate.threshold must be a number from 0 up to, not including, 1, but is 1",
                "a.yaml:3: gate.names is not a key. Keys of gate: kind, threshold, limit",
                "a.yaml: names is required: a name, or a list of 1 to 2 items, each a name",
            ])
    }

    /// A key is looked for in the whole form, whichever section it is written in.
    @Test func aKeyOfAnotherSectionIsNamed() {
        let found = problems(Self.map(("names", Self.plain("a")), ("threshold", Self.plain("0.5"))))
        #expect(
            found == ["a.yaml:2: threshold is not a key; did you mean gate.threshold? Keys of a configuration: gate, names"])
    }

    @Test func conditionsBetweenValuesAreHeldUnlessOneWasRejected() {
        let names = ("names", Self.plain("a")), limit = ("limit", Self.plain("3"))
        #expect(
            problems(Self.map(("gate", Self.map(limit)), names)) == [
                "a.yaml:1: gate.limit must be none with gate.kind: soft, but is 3"
            ])
        #expect(problems(Self.map(("gate", Self.map(limit, ("kind", Self.plain("x")))), names)).count == 1)
    }
}
