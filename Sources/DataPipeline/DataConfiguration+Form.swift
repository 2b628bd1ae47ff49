import ConfigurationForms

extension DataConfiguration {
    public static var form: ConfigurationForm<DataConfiguration> {
        .section(
            [
                .init("format", \.format, .choice, isRequired: true),
                .init("fields", \.fields, FieldNames.form, isWritten: { $0.format == .jsonl }),
                .init("path", \.path, .optional(.text("the path of a folder"))),
                .init("corpora", \.corpora, .map(from: .corpusName, to: .text("the path of a folder"))),
                .init("weights", \.weights, .corpusWeights),
                .init("stages", \.stages, .list(of: CorpusStage.form, count: 0...1000), isWritten: { !$0.stages.isEmpty }),
                .init("prepared", \.prepared, .text("the path of a folder"), isRequired: true),
                .init("directions", \.directions, .list(of: .direction, count: 0...10_000)),
                .init("vocabulary", \.vocabulary, .integer(1...1_000_000)),
                .init("character_coverage", \.characterCoverage, .number(.between(0.98, 1))),
                .init("tokenizer_sentences", \.tokenizerSentences, .integer(1...1_000_000_000)),
                .init("tokenizer_temperature", \.tokenizerTemperature, .number(.atLeast(1))),
                .init("normalization", \.normalization, .choice),
                .init("byte_fallback", \.byteFallback, .boolean),
                .init("temperature", \.temperature, .number(.above(0))),
                .init("subword_sampling", \.subwordSampling, .number(.between(0, 100))),
                .init("maximum_length", \.maximumLength, .integer(1...1_000_000)),
                .init("empty_lines", \.emptyLines, .choice),
                .init("long_sentences", \.longSentences, .choice),
                .init("invalid_text", \.invalidText, .choice),
                .init("filters", \.filters, FilterConfiguration.form),
                .init("numerals", \.numerals, NumeralsConfiguration.form, isWritten: { $0.format == .numerals }),
            ],
            over: DataConfiguration(format: .numerals, prepared: ""))
    }

    public func validate(_ path: String, _ problems: ConfigurationProblems) {
        if format == .numerals {
            problems.require(
                self.path == nil, "\(path).path", "\(path).format",
                text: "must be left out with \(path).format: numerals, which reads no files, but is \(self.path ?? "")")
            numerals.validate("\(path).numerals", problems)
            for direction in directions {
                let other = direction.source == "eng" ? direction.target : direction.source
                problems.require(
                    (direction.source == "eng" || direction.target == "eng") && numerals.languages.contains(other),
                    "\(path).directions", "\(path).numerals.languages", "\(path).format",
                    text: "must be between eng and one of \(path).numerals.languages ("
                        + "\(numerals.languages.joined(separator: ", "))), but holds \(direction)")
            }
        } else {
            problems.require(
                self.path != nil, "\(path).path", "\(path).format",
                text: "is required with \(path).format: \(format.rawValue): the folder of the text files")
            problems.require(
                !problems.root.contains("\(path).numerals"), "\(path).numerals", "\(path).format",
                text: "must be left out unless \(path).format is numerals, but that is \(format.rawValue)")
        }
        problems.require(
            format == .jsonl || !problems.root.contains("\(path).fields"), "\(path).fields", "\(path).format",
            text: "must be left out unless \(path).format is jsonl, but that is \(format.rawValue)")
        if format == .jsonl { fields.validate("\(path).fields", problems) }
        filters.validate("\(path).filters", problems)
        validateCorpora(path, problems)
        let repeated = firstRepeated(in: directions)
        problems.require(
            repeated == nil, "\(path).directions",
            text: "must hold each direction once, but holds \(repeated?.description ?? "") again")
    }
}

extension FieldNames {
    public static var form: ConfigurationForm<FieldNames> {
        let name = ConfigurationForm<String>.text("the name of a field, or a path such as translation.<src>")
        return .section([.init("source", \.source, name), .init("target", \.target, name)], over: FieldNames())
    }

    public func validate(_ path: String, _ problems: ConfigurationProblems) {
        for (key, name) in [("source", source), ("target", target)] {
            problems.require(
                !name.split(separator: ".").isEmpty, "\(path).\(key)", text: "must name a field, but is \(name)")
        }
    }
}

extension FilterConfiguration {
    public static var form: ConfigurationForm<FilterConfiguration> {
        .section(
            [
                .init("length_ratio", \.lengthRatio, .number(.atLeast(0))),
                .init("duplicates", \.duplicates, .choice),
                .init("identical", \.identical, .choice),
                .init("held_out", \.heldOut, .choice),
            ], over: FilterConfiguration())
    }

    public func validate(_ path: String, _ problems: ConfigurationProblems) {
        problems.require(
            lengthRatio == 0 || lengthRatio >= 1, "\(path).length_ratio",
            text: "must be 0, for any ratio, or at least 1, but is \(lengthRatio)")
    }
}

extension NumeralsConfiguration {
    public static var form: ConfigurationForm<NumeralsConfiguration> {
        .section(
            [
                .init("below", \.below, .integer(2...1_000_000_000)),
                .init("languages", \.languages, .list(of: .language, count: 1...100)),
                .init("pairs", \.pairs, .integer(1...1_000_000_000)),
                .init("pairs_by_language", \.pairsByLanguage, .map(from: .language, to: .integer(1...1_000_000_000))),
                .init("validation", \.validation, .integer(0...1_000_000)),
                .init("test", \.test, .integer(0...1_000_000)),
                .init("seed", \.seed, .integer(0...UInt64.max)),
            ],
            over: NumeralsConfiguration())
    }

    public func validate(_ path: String, _ problems: ConfigurationProblems) {
        problems.require(
            !languages.contains("eng"), "\(path).languages",
            text: "must hold the languages beside English, but holds eng; leave it out")
        let repeated = firstRepeated(in: languages)
        problems.require(
            repeated == nil, "\(path).languages", text: "must hold each language once, but holds \(repeated ?? "") again")
        for language in pairsByLanguage.keys.sorted() where !languages.contains(language) {
            let suggestion = nearestName(to: language, among: languages).map { "; did you mean \($0)?" } ?? ""
            problems.require(
                false, "\(path).pairs_by_language", "\(path).languages",
                text: "must have keys among \(path).languages (\(languages.joined(separator: ", "))), "
                    + "but has \(language)\(suggestion)")
        }
        let left = below - validation - test
        problems.require(
            left > 0, "\(path).below", "\(path).validation", "\(path).test",
            text: "must leave numbers to train on beside validation and test, \(validation + test), but is \(below)")
        for language in languages {
            let count = pairsByLanguage[language] ?? pairs
            let key = pairsByLanguage[language] == nil ? "pairs" : "pairs_by_language.\(language)"
            problems.require(
                count <= left, "\(path).\(key)", "\(path).below", "\(path).validation", "\(path).test",
                text: "must be at most the \(left) numbers below \(below) that are not held out, but is \(count)")
        }
    }
}

extension ConfigurationForm where Value == Direction {
    static var direction: Self {
        Self(
            scalar: "a direction of two different languages such as eng-cat", plain: false, parse: { Direction($0) },
            write: { .scalar($0.description, quoted: !ScalarText.isPlain($0.description)) })
    }
}

extension ConfigurationForm where Value == String {
    static var language: Self {
        Self(
            scalar: "a language code of letters, digits and _", plain: false, parse: { isLanguage($0) ? $0 : nil },
            write: { .scalar($0, quoted: !ScalarText.isPlain($0)) })
    }

    private static func isLanguage(_ text: String) -> Bool {
        !text.isEmpty && text.utf8.count <= 16 && text.allSatisfy { $0.isASCII && ($0.isLetter || $0.isNumber || $0 == "_") }
    }
}

private func firstRepeated<Element: Hashable>(in elements: [Element]) -> Element? {
    var seen: Set<Element> = []
    return elements.first { !seen.insert($0).inserted }
}
