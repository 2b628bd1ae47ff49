import ConfigurationForms

/// What people often write in place of YAML, said in words that help more than a parser's.
enum ConfigurationMistake {
    /// The last line up to `line`, from 1, that has such a mistake, and what it is; nil if none has.
    static func last(in text: String, through line: Int) -> (line: Int, text: String)? {
        let lines = text.split(separator: "\n", maxSplits: line, omittingEmptySubsequences: false).prefix(line)
        for (index, line) in lines.enumerated().reversed() {
            let content = line.drop { $0 == " " || $0 == "\t" }
            guard let first = content.first else { continue }
            if line.prefix(line.count - content.count).contains("\t") {
                return (index + 1, "must be indented with spaces, but this line begins with a tab: put spaces in its place")
            }
            if first == "#" { continue }
            if let blank = blank(in: content.prefix { $0 != "#" }) { return (index + 1, blank) }
            if let missing = missingSpace(in: content) { return (index + 1, missing) }
        }
        return nil
    }

    /// Of text that is a key and a colon with something right behind it.
    static func missingSpace(in text: some StringProtocol) -> String? {
        let key = text.prefix { $0.isASCII && ($0.isLetter || $0.isNumber || $0 == "_") }, rest = text.dropFirst(key.count)
        guard !key.isEmpty, rest.first == ":", let next = rest.dropFirst().first, !next.isWhitespace else { return nil }
        let value = rest.dropFirst().prefix { !$0.isWhitespace && $0 != "," && $0 != "}" }
        return "must have a space after the colon, but is \(key):\(value.prefix(40)); write \(key): \(value.prefix(40))"
    }

    /// Of text that holds a blank which is none to YAML.
    static func blank(in text: some StringProtocol) -> String? {
        guard let blank = text.unicodeScalars.first(where: isForeignBlank) else { return nil }
        let code = String(blank.value, radix: 16, uppercase: true)
        return "must have plain spaces, but holds "
            + (blank == "\u{A0}" ? "a no-break space" : "another blank")
            + " (U+\(String(repeating: "0", count: 4 - code.count))\(code)): "
            + "type it again as a space, or put the text in quotes"
    }

    private static func isForeignBlank(_ scalar: Unicode.Scalar) -> Bool {
        switch scalar.value {
        case 0xA0, 0x1680, 0x2000...0x200B, 0x202F, 0x205F, 0x2060, 0x3000, 0xFEFF: true
        default: false
        }
    }
}
