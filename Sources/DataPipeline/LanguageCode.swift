/// Language codes as the world writes them: `cat`, `pt_BR`, `pt-BR`, `sr-Latn`, `eng_Latn`.
enum LanguageCode {
    /// Whether a text is a code: letters and digits of ASCII, `_`, and single hyphens between them.
    static func isValid(_ text: some StringProtocol) -> Bool {
        text.split(separator: "-", omittingEmptySubsequences: false).allSatisfy { subtag in
            !subtag.isEmpty && subtag.allSatisfy { $0.isASCII && ($0.isLetter || $0.isNumber || $0 == "_") }
        }
    }

    /// Whether a code with hyphens has the form and the case that BCP 47 recommends: a language in lower case, then a script
    /// (`Latn`), a region (`BR`, `419`) or variants (`valencia`, `1996`). Tells `pt-BR` from two languages.
    static func isWellFormed(_ code: String) -> Bool {
        let subtags = code.split(separator: "-", omittingEmptySubsequences: false).map { Array($0.utf8) }
        guard subtags.count > 1 else { return isValid(code) }
        return (2...8).contains(subtags[0].count) && subtags[0].allSatisfy(isLower) && subtags.dropFirst().allSatisfy(isSubtag)
    }

    private static func isSubtag(_ text: [UInt8]) -> Bool {
        switch text.count {
        case 2: text.allSatisfy(isUpper)
        case 3: text.allSatisfy(isDigit)
        case 4: isUpper(text[0]) && text.dropFirst().allSatisfy(isLower) || isDigit(text[0]) && text.allSatisfy(isLowerOrDigit)
        case 5...8: text.allSatisfy(isLowerOrDigit)
        default: false
        }
    }

    private static func isLower(_ byte: UInt8) -> Bool { (0x61...0x7A).contains(byte) }
    private static func isUpper(_ byte: UInt8) -> Bool { (0x41...0x5A).contains(byte) }
    private static func isDigit(_ byte: UInt8) -> Bool { (0x30...0x39).contains(byte) }
    private static func isLowerOrDigit(_ byte: UInt8) -> Bool { isLower(byte) || isDigit(byte) }
}
