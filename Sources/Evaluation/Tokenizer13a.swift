/// The tokenizer of mteval-v13a, as sacreBLEU applies it by default: minimal, made for Western languages.
///
/// It works on UTF-8 bytes. The rules name ASCII characters and their complements alone, so that a byte of a longer character
/// takes no other path than the character would.
struct Tokenizer13a {
    private var text: [UInt8] = []
    private var rewritten: [UInt8] = []

    /// The tokens of a segment, in order, each as UTF-8.
    mutating func tokens(of segment: String) -> [ArraySlice<UInt8>] {
        text.removeAll(keepingCapacity: true)
        // A space on either side, so that every character has neighbours for the rules below.
        text.append(.space)
        var end = segment.unicodeScalars.endIndex
        while end > segment.startIndex {
            let before = segment.unicodeScalars.index(before: end)
            guard Whitespace.contains(segment.unicodeScalars[before]) else { break }
            end = before
        }
        text.append(contentsOf: segment[..<end].utf8)
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

        separateSymbols()
        separatePointsAfterNonDigits()
        separatePointsBeforeNonDigits()
        separateHyphensAfterDigits()
        return split()
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

    private func split() -> [ArraySlice<UInt8>] {
        var tokens: [ArraySlice<UInt8>] = []
        var start = 0
        var i = 0
        while i < text.count {
            let length = Whitespace.length(in: text, at: i)
            if length == 0 {
                i += 1
                continue
            }
            if start < i { tokens.append(text[start..<i]) }
            i += length
            start = i
        }
        if start < text.count { tokens.append(text[start...]) }
        return tokens
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
