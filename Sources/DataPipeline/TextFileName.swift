/// What the name of a text file says.
struct TextFileName {
    let pair: Direction
    let split: Split
    /// nil where one file holds both languages.
    let language: String?

    /// Reads a name without the extension of a compression; nil if it is not one of the format's.
    init?(_ name: String, format: DataConfiguration.Format) {
        let fields = name.split(separator: ".", omittingEmptySubsequences: false).map(String.init)
        guard fields.count == 3 else { return nil }
        let pairText: String
        let splitText: String
        switch format {
        case .numerals: return nil
        case .moses, .tsv, .jsonl: (splitText, pairText) = (fields[0], fields[1])
        case .opus100:
            guard fields[0] == "opus", let hyphen = fields[1].lastIndex(of: "-") else { return nil }
            pairText = String(fields[1][..<hyphen])
            let name = String(fields[1][fields[1].index(after: hyphen)...])
            guard name != "valid" else { return nil }
            splitText = name == "dev" ? "valid" : name
        }
        guard let split = Split(rawValue: splitText) else { return nil }
        if let ending = format.ending {
            guard fields[2] == ending, let pair = Direction(pairText) else { return nil }
            (self.pair, language) = (pair, nil)
        } else {
            guard let pair = Self.pair(pairText, of: fields[2]) else { return nil }
            (self.pair, language) = (pair, fields[2])
        }
        self.split = split
    }

    /// The pair that a text names, one of whose languages is known: which tells most codes with hyphens apart.
    private static func pair(_ text: String, of language: String) -> Direction? {
        let readings = Direction.readings(of: text).filter { $0.source == language || $0.target == language }
        guard readings.count > 1 else { return readings.first }
        return Direction(text).flatMap { readings.contains($0) ? $0 : nil }
    }
}

extension DataConfiguration.Format {
    /// How the name of a file that holds both languages ends; nil where each has a file.
    var ending: String? { self == .tsv || self == .jsonl ? rawValue : nil }

    /// The names of the training files, for messages.
    var fileNames: String {
        switch self {
        case .numerals: "generated pairs of eng with data.numerals.languages"
        case .moses: "train.<src>-<tgt>.<lang>"
        case .tsv, .jsonl: "train.<src>-<tgt>.\(rawValue)"
        case .opus100: "opus.<src>-<tgt>-train.<lang>, here or in folders <src>-<tgt>"
        }
    }
}
