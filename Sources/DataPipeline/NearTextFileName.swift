/// Why a file that looks like text of a format is not used.
///
/// Names that nearly fit are told from what else lies in a folder: they have a pair of languages, or begin as a split does and
/// end in a language.
struct NearTextFileName {
    let format: DataConfiguration.Format

    /// Words that others use for the splits.
    private static let splitWords: [String: Split] = [
        "train": .train, "training": .train, "trn": .train, "valid": .valid, "validation": .valid, "val": .valid, "dev": .valid,
        "devel": .valid, "development": .valid, "test": .test, "tst": .test, "devtest": .test, "eval": .test,
    ]
    /// Endings of two or three letters that are no languages.
    private static let otherEndings: Set<String> = [
        "ali", "bin", "bpe", "cfg", "csv", "doc", "gif", "htm", "ids", "idx", "ini", "jpg", "log", "map", "md", "npy", "npz",
        "out", "pdf", "png",
        "py", "rtf",
        "sgm", "sh", "spm", "tmp", "tsv", "txt", "xml", "yml",
    ]

    /// Why the file is not used and what to do; nil for a name that is nothing of the kind.
    func fault(_ name: String) -> String? {
        guard !name.hasPrefix("."), !name.hasSuffix("~") else { return nil }
        let (plain, _) = Compression.split(name)
        if let dot = plain.lastIndex(of: "."), Compression.unread.contains(String(plain[plain.index(after: dot)...])) {
            let content = String(plain[..<dot])
            guard TextFileName(content, format: format) != nil || fault(content) != nil else { return nil }
            return "is compressed in a way that is not read: decompress it, or compress it as .gz or .zst"
        }
        for other in DataConfiguration.Format.allCases where other != format && TextFileName(plain, format: other) != nil {
            return "is named as data.format \(other.rawValue) has it, but data.format is \(format.rawValue)"
        }
        let fields = plain.split(separator: ".", omittingEmptySubsequences: false).map(String.init)
        return format == .opus100 ? opusFault(fields) : mosesFault(fields)
    }

    private var ending: String { format.ending ?? "<lang>" }

    private func mosesFault(_ fields: [String]) -> String? {
        guard let last = fields.last, fields.count > 1 else { return nil }
        let split = Self.splitWords[fields[0].lowercased()]
        guard let place = pairPlace(fields) else {
            // train.en, train.en_de.en
            let isText = split != nil && isLanguage(last) && fields.count <= 3
            return isText ? "must be named \(format.fileNames)" : nil
        }
        let pair = fields[place]
        let fits = format.ending.map { last == $0 } ?? languages(pair).contains(last)
        let nearlyFits = fits || languages(pair, lowercased: true).contains(last.lowercased()) || last.lowercased() == ending
        guard fields.count == 3, place == 1 else {
            return nearlyFits ? "must be named <split>.<src>-<tgt>.\(ending), without more or fewer fields between dots" : nil
        }
        guard nearlyFits || split != nil && (isLanguage(last) || last == "txt") else { return nil }
        if let fault = pairFault(pair) { return fault }
        guard let exact = Split(rawValue: fields[0]) else {
            return "a split is train, valid or test, but is \(fields[0]): "
                + "rename it, for instance \(split ?? .train).\(pair).\(last)"
        }
        guard !fits else { return "its languages cannot be told apart: name it \(exact).\(separated(pair, last)).\(last)" }
        return
            "must end in \(format.ending ?? languages(pair).joined(separator: " or ")), but ends in \(last): rename it"
    }

    private func opusFault(_ fields: [String]) -> String? {
        guard fields.count > 1, fields[0].lowercased() == "opus" else { return nil }
        guard fields.count == 3, let hyphen = fields[1].lastIndex(of: "-") else {
            return fields[1].contains("-") ? "must be named opus.<src>-<tgt>-<train|dev|test>.<lang>" : nil
        }
        let pair = String(fields[1][..<hyphen])
        let split = String(fields[1][fields[1].index(after: hyphen)...])
        if let fault = pairFault(pair) { return fault }
        guard ["train", "dev", "test"].contains(split) else {
            return "a split is train, dev or test in OPUS-100, but is \(split): rename it"
        }
        guard languages(pair).contains(fields[2]) else {
            return "must end in \(languages(pair).joined(separator: " or ")), but ends in \(fields[2]): rename it"
        }
        guard fields[0] == "opus" else { return "must begin with opus, but begins with \(fields[0]): rename it" }
        return "its languages cannot be told apart: name it opus.\(separated(pair, fields[2]))-\(split).\(fields[2])"
    }

    private func pairFault(_ pair: String) -> String? {
        let halves = pair.split(separator: "-")
        if halves.count == 2, halves[0] == halves[1] { return "a pair must be of two languages, but is \(pair)" }
        guard Direction.readings(of: pair).isEmpty else { return nil }
        return "a language is a code of letters, digits, _ and -, but \(pair) holds other characters: rename it"
    }

    /// Which field names a pair: the one whose languages the last field is of, else the first that could be one.
    private func pairPlace(_ fields: [String]) -> Int? {
        let pairs = fields.indices.dropLast().filter { place in
            let halves = fields[place].split(separator: "-", omittingEmptySubsequences: false)
            return halves.count > 1 && halves.allSatisfy { $0.contains(where: \.isLetter) }
        }
        return pairs.first { place in !Set(fields).isDisjoint(with: languages(fields[place])) } ?? pairs.last
    }

    private func languages(_ pair: String, lowercased: Bool = false) -> [String] {
        var languages: [String] = []
        for reading in Direction.readings(of: lowercased ? pair.lowercased() : pair) {
            for language in [reading.source, reading.target] where !languages.contains(language) { languages.append(language) }
        }
        return languages.isEmpty ? pair.split(separator: "-").map(String.init) : languages
    }

    private func separated(_ pair: String, _ language: String) -> String {
        let reading = Direction.readings(of: pair).first { $0.source == language || $0.target == language }
        return reading.map { "\($0.source)--\($0.target)" } ?? "<src>--<tgt>"
    }

    private func isLanguage(_ text: String) -> Bool {
        let subtags = text.split(omittingEmptySubsequences: false) { $0 == "-" || $0 == "_" }
        return (2...3).contains(subtags[0].count) && LanguageCode.isValid(text)
            && !Self.otherEndings.contains(text.lowercased())
            && subtags[0].allSatisfy(\.isLetter)
    }
}
