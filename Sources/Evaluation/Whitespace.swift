/// White space as Python's `str.split()` and `str.strip()` see it, which is what sacreBLEU splits by. It is neither ASCII's nor
/// Unicode's White_Space: the separators U+001C … U+001F count, the zero-width space does not.
enum Whitespace {
    static func contains(_ scalar: Unicode.Scalar) -> Bool {
        switch scalar.value {
        case 0x09...0x0D, 0x1C...0x20, 0x85, 0xA0, 0x1680, 0x2000...0x200A, 0x2028, 0x2029, 0x202F, 0x205F, 0x3000: return true
        default: return false
        }
    }

    /// The length in bytes of the white space that begins at `start` of UTF-8 text; 0 if none does.
    static func length(in text: [UInt8], at start: Int) -> Int {
        let first = text[start]
        if first < 0x80 { return contains(Unicode.Scalar(first)) ? 1 : 0 }
        // U+0085 and U+00A0 take two bytes, the others three.
        if first == 0xC2 { return text[start + 1] == 0x85 || text[start + 1] == 0xA0 ? 2 : 0 }
        guard first == 0xE1 || first == 0xE2 || first == 0xE3 else { return 0 }
        let value = UInt32(first & 0x0F) << 12 | UInt32(text[start + 1] & 0x3F) << 6 | UInt32(text[start + 2] & 0x3F)
        return contains(Unicode.Scalar(value)!) ? 3 : 0
    }

    /// A segment without the white space at its end, which sacreBLEU takes off.
    static func trimmedAtEnd(_ segment: String) -> Substring {
        var end = segment.unicodeScalars.endIndex
        while end > segment.startIndex {
            let before = segment.unicodeScalars.index(before: end)
            guard contains(segment.unicodeScalars[before]) else { break }
            end = before
        }
        return segment[..<end]
    }

    /// A segment's characters without the white space at both ends.
    static func trimmed(_ segment: String) -> Substring.UnicodeScalarView {
        trimmedAtEnd(segment).unicodeScalars.drop(while: contains)
    }

    /// What stands between white space in UTF-8 text.
    static func split(_ text: [UInt8]) -> [ArraySlice<UInt8>] {
        var tokens: [ArraySlice<UInt8>] = []
        var start = 0
        var i = 0
        while i < text.count {
            let length = length(in: text, at: i)
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
