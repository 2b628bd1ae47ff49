/// The tokenizer of mteval-v13a, as sacreBLEU applies it: minimal, made for Western languages, and with every Chinese character a
/// token of its own for Chinese.
///
/// It works on UTF-8 bytes. The rules name ASCII characters and their complements alone, so that a byte of a longer character
/// takes no other path than the character would.
struct MtevalTokenizer {
    private var text: [UInt8] = []
    private var rewritten: [UInt8] = []

    /// The tokens of a segment, in order, each as UTF-8.
    mutating func tokens(of segment: String) -> [ArraySlice<UInt8>] {
        text.removeAll(keepingCapacity: true)
        // A space on either side, so that every character has neighbours for the rules below.
        text.append(.space)
        text.append(contentsOf: Whitespace.trimmedAtEnd(segment).utf8)
        replace("<skipped>", with: "")
        replace("-\n", with: "")
        for i in text.indices where text[i] == .newline { text[i] = .space }
        if text.contains(.ampersand) {
            // One after the other: `&amp;lt;` becomes `<`, as it does in the original.
            replace("&quot;", with: "\"")
            replace("&amp;", with: "&")
            replace("&lt;", with: "<")
            replace("&gt;", with: ">")
        }
        text.append(.space)
        return separated()
    }

    /// Tokens as sacreBLEU's `zh` has them: without the rules for markup, and without a space on either side.
    mutating func tokens(ofChinese segment: String) -> [ArraySlice<UInt8>] {
        text.removeAll(keepingCapacity: true)
        for scalar in Whitespace.trimmed(segment) {
            let isToken = Self.isChinese(scalar)
            if isToken { text.append(.space) }
            text.append(contentsOf: String(scalar).utf8)
            if isToken { text.append(.space) }
        }
        return separated()
    }

    /// The ranges of sacreBLEU, some of which are no Chinese: full-width and half-width forms, and, since it writes the planes
    /// beyond the first with four digits too few, most of U+2000 to U+2A6D with dashes, quotation marks and arrows.
    private static func isChinese(_ scalar: Unicode.Scalar) -> Bool {
        switch scalar.value {
        case 0x2001...0x2A6D, 0x2E80...0x2EFF, 0x2F00...0x2FDF, 0x2FF0...0x303F, 0x3100...0x312F, 0x31A0...0x31BF,
            0x31C0...0x31EF, 0x3200...0x33FF, 0x3400...0x4DB5, 0x4E00...0x9FBB, 0xF900...0xFA2D, 0xFA30...0xFA6A,
            0xFA70...0xFAD9, 0xFE10...0xFE1F, 0xFE30...0xFE4F, 0xFF00...0xFFEF:
            return true
        default: return false
        }
    }

    private mutating func separated() -> [ArraySlice<UInt8>] {
        separateSymbols()
        separatePointsAfterNonDigits()
        separatePointsBeforeNonDigits()
        separateHyphensAfterDigits()
        return Whitespace.split(text)
    }

    private mutating func replace(_ pattern: StaticString, with replacement: StaticString) {
        let pattern = UnsafeBufferPointer(start: pattern.utf8Start, count: pattern.utf8CodeUnitCount)
        let replacement = UnsafeBufferPointer(start: replacement.utf8Start, count: replacement.utf8CodeUnitCount)
        rewritten.removeAll(keepingCapacity: true)
        var i = 0
        while i < text.count {
            if text[i] == pattern[0], i + pattern.count <= text.count, text[i..<i + pattern.count].elementsEqual(pattern) {
                rewritten.append(contentsOf: replacement)
                i += pattern.count
            } else {
                rewritten.append(text[i])
                i += 1
            }
        }
        swap(&text, &rewritten)
    }

    /// `([\{-\~\[-\` -\&\(-\+\:-\@\/])` → ` \1 `: every ASCII symbol but `'`, `,`, `-` and `.`.
    private mutating func separateSymbols() {
        rewritten.removeAll(keepingCapacity: true)
        for byte in text {
            switch byte {
            case 0x7B...0x7E, 0x5B...0x60, 0x20...0x26, 0x28...0x2B, 0x3A...0x40, 0x2F:
                rewritten.append(.space)
                rewritten.append(byte)
                rewritten.append(.space)
            default: rewritten.append(byte)
            }
        }
        swap(&text, &rewritten)
    }

    /// `([^0-9])([\.,])` → `\1 \2 `. A character that a match has consumed takes part in no other, here and below: of `a..`
    /// only the first point is separated.
    private mutating func separatePointsAfterNonDigits() {
        rewritten.removeAll(keepingCapacity: true)
        var i = 0
        while i < text.count {
            rewritten.append(text[i])
            if i + 1 < text.count, !text[i].isDigit, text[i + 1].isPoint {
                rewritten.append(.space)
                rewritten.append(text[i + 1])
                rewritten.append(.space)
                i += 2
            } else {
                i += 1
            }
        }
        swap(&text, &rewritten)
    }

    /// `([\.,])([^0-9])` → ` \1 \2`.
    private mutating func separatePointsBeforeNonDigits() {
        rewritten.removeAll(keepingCapacity: true)
        var i = 0
        while i < text.count {
            if i + 1 < text.count, text[i].isPoint, !text[i + 1].isDigit {
                rewritten.append(.space)
                rewritten.append(text[i])
                rewritten.append(.space)
                rewritten.append(text[i + 1])
                i += 2
            } else {
                rewritten.append(text[i])
                i += 1
            }
        }
        swap(&text, &rewritten)
    }

    /// `([0-9])(-)` → `\1 \2 `.
    private mutating func separateHyphensAfterDigits() {
        rewritten.removeAll(keepingCapacity: true)
        for (i, byte) in text.enumerated() {
            if byte == .hyphen, i > 0, text[i - 1].isDigit {
                rewritten.append(.space)
                rewritten.append(byte)
                rewritten.append(.space)
            } else {
                rewritten.append(byte)
            }
        }
        swap(&text, &rewritten)
    }
}

extension UInt8 {
    fileprivate static var space: UInt8 { UInt8(ascii: " ") }
    fileprivate static var newline: UInt8 { UInt8(ascii: "\n") }
    fileprivate static var ampersand: UInt8 { UInt8(ascii: "&") }
    fileprivate static var hyphen: UInt8 { UInt8(ascii: "-") }

    fileprivate var isDigit: Bool { self >= UInt8(ascii: "0") && self <= UInt8(ascii: "9") }
    fileprivate var isPoint: Bool { self == UInt8(ascii: ".") || self == UInt8(ascii: ",") }
}
