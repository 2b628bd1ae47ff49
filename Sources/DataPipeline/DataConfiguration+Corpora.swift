import ConfigurationForms

extension CorpusStage {
    public static var form: ConfigurationForm<CorpusStage> {
        .section(
            [
                .init("after", \.after, .integer(1...1_000_000_000), isRequired: true),
                .init("weights", \.weights, .corpusWeights),
            ],
            over: CorpusStage())
    }
}

extension ConfigurationForm where Value == String {
    static var corpusName: Self { .text("the name of a corpus") }
}

extension ConfigurationForm where Value == [String: Double] {
    /// Factors on the pairs of corpora.
    static var corpusWeights: Self { .map(from: .corpusName, to: .number(.between(0, 1_000_000))) }
}

extension DataConfiguration {
    /// Corpora, their weights and stages together.
    func validateCorpora(_ path: String, _ problems: ConfigurationProblems) {
        problems.require(
            corpora.isEmpty || format != .numerals, "\(path).corpora", "\(path).format",
            text: "must be left out with \(path).format: numerals, which reads no files")
        for name in corpora.keys.sorted() {
            let isPlain = !name.isEmpty && name.utf8.allSatisfy(Self.isPlain)
            problems.require(
                isPlain && name != Self.mainCorpus, "\(path).corpora",
                text: "must have names of letters, digits, - and _, other than \(Self.mainCorpus), which is the text of "
                    + "\(path).path, but has \(name)")
        }
        validate(weights, "\(path).weights", path, problems)
        for (index, stage) in stages.enumerated() { validate(stage.weights, "\(path).stages", path, problems, of: index) }
        let begins = [0] + stages.map(\.after)
        problems.require(
            zip(begins, begins.dropFirst()).allSatisfy(<), "\(path).stages",
            text: "must begin one later than the other, but begin after updates "
                + stages.map { "\($0.after)" }.joined(separator: ", "))
    }

    private static func isPlain(_ byte: UInt8) -> Bool {
        switch byte {
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
            UInt8(ascii: "0")...UInt8(ascii: "9"),
            UInt8(ascii: "-"), UInt8(ascii: "_"):
            true
        default: false
        }
    }

    private func validate(
        _ weights: [String: Double], _ key: String, _ path: String, _ problems: ConfigurationProblems, of stage: Int? = nil
    ) {
        let place = stage.map { "stage \($0 + 1)" } ?? "it"
        for name in weights.keys.sorted() where !corpusNames.contains(name) {
            let suggestion = nearestName(to: name, among: corpusNames).map { "; did you mean \($0)?" } ?? ""
            problems.require(
                false, key, "\(path).corpora",
                text: "must weigh corpora (\(corpusNames.joined(separator: ", "))), but \(place) has \(name)\(suggestion)")
        }
        problems.require(
            corpusNames.contains { weights[$0] != 0 }, key,
            text: "must leave a corpus a weight above 0, but \(place) leaves none")
    }
}
