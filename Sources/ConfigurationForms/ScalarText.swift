import Files

/// Numbers and names as configurations write them: decimal, and stricter than what YAML would let pass.
public enum ScalarText {
    /// Digits with an optional sign; `_` may stand between digits. No octal, no exponent; nil as well where the type overflows.
    public static func integer<Integer: FixedWidthInteger>(_ text: String) -> Integer? {
        guard let digits = withoutSeparators(text) else { return nil }
        let unsigned = digits.first == "-" || digits.first == "+" ? digits.dropFirst() : digits[...]
        guard !unsigned.isEmpty, unsigned.utf8.allSatisfy(isDigit), unsigned.count == 1 || unsigned.first != "0" else {
            return nil
        }
        return Integer(digits)
    }

    /// Decimal notation, with a fraction and an exponent if need be. No infinities, no NaN, no hexadecimal; nil as well for what
    /// is too large for the type.
    public static func number<Number: BinaryFloatingPoint & LosslessStringConvertible>(_ text: String) -> Number? {
        guard let digits = withoutSeparators(text), digits.utf8.contains(where: isDigit),
            digits.unicodeScalars.allSatisfy({ "0123456789+-.eE".unicodeScalars.contains($0) }),
            let number = Number(digits), number.isFinite
        else { return nil }
        return number
    }

    /// Whether a text can stand without quotes and still be read as that text.
    public static func isPlain(_ text: String) -> Bool {
        guard let first = text.utf8.first, isLetterOrDigit(first) || first == UInt8(ascii: "/") || first == UInt8(ascii: "."),
            text.utf8.allSatisfy({ isLetterOrDigit($0) || "/._-".utf8.contains($0) })
        else { return false }
        return !["null", "Null", "NULL"].contains(text)
    }

    /// In double quotes, with every character escaped that YAML would not give back.
    public static func quoted(_ text: String) -> String {
        var result = "\""
        for scalar in text.unicodeScalars {
            switch scalar {
            case "\"", "\\": result += "\\\(scalar)"
            case "\n": result += "\\n"
            case "\t": result += "\\t"
            case " "..."~", "\u{A1}"..."\u{1FFF}", "\u{2030}"..."\u{D7FF}", "\u{E000}"..."\u{FDFF}":
                result.unicodeScalars.append(scalar)
            default:
                result += "\\U" + String(scalar.value, digits: 8, radix: 16).uppercased()
            }
        }
        return result + "\""
    }

    /// The text without its `_`; nil if one stands anywhere but between two digits.
    private static func withoutSeparators(_ text: String) -> String? {
        guard text.utf8.contains(UInt8(ascii: "_")) else { return text }
        let parts = text.split(separator: "_", omittingEmptySubsequences: false)
        for (left, right) in zip(parts, parts.dropFirst()) {
            guard let before = left.utf8.last, let after = right.utf8.first, isDigit(before), isDigit(after) else { return nil }
        }
        return parts.joined()
    }

    private static func isDigit(_ byte: UInt8) -> Bool { byte >= UInt8(ascii: "0") && byte <= UInt8(ascii: "9") }

    private static func isLetterOrDigit(_ byte: UInt8) -> Bool {
        isDigit(byte) || (byte | 0x20) >= UInt8(ascii: "a") && (byte | 0x20) <= UInt8(ascii: "z")
    }
}
