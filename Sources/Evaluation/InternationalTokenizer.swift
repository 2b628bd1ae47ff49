/// The tokenizer of mteval-v14, as sacreBLEU's `intl`: punctuation is separated unless digits stand on both sides, and symbols are.
enum InternationalTokenizer {
    /// The tokens of a segment, in order, each as UTF-8.
    static func tokens(of segment: Substring) -> [ArraySlice<UInt8>] {
        var text = Array(segment.unicodeScalars)
        text = rewritten(text) { before, after in
            !isNumber(before) && isPunctuation(after) ? [before, " ", after, " "] : nil
        }
        text = rewritten(text) { before, after in
            isPunctuation(before) && !isNumber(after) ? [" ", before, " ", after] : nil
        }
        text = text.flatMap { isSymbol($0) ? [" ", $0, " "] : [$0] }
        var result = String.UnicodeScalarView()
        result.append(contentsOf: text)
        return Whitespace.split(Array(String(result).utf8))
    }

    /// Neighbours, from the left, that `rule` writes otherwise. A character that it has written takes part in no other pair.
    private static func rewritten(
        _ text: [Unicode.Scalar], _ rule: (Unicode.Scalar, Unicode.Scalar) -> [Unicode.Scalar]?
    ) -> [Unicode.Scalar] {
        var result: [Unicode.Scalar] = [], i = 0
        while i < text.count {
            if i + 1 < text.count, let pair = rule(text[i], text[i + 1]) {
                result += pair
                i += 2
            } else {
                result.append(text[i])
                i += 1
            }
        }
        return result
    }

    private static func isNumber(_ scalar: Unicode.Scalar) -> Bool {
        [.decimalNumber, .letterNumber, .otherNumber].contains(scalar.properties.generalCategory)
    }

    private static func isSymbol(_ scalar: Unicode.Scalar) -> Bool {
        [.mathSymbol, .currencySymbol, .modifierSymbol, .otherSymbol].contains(scalar.properties.generalCategory)
    }

    private static func isPunctuation(_ scalar: Unicode.Scalar) -> Bool {
        switch scalar.properties.generalCategory {
        case .connectorPunctuation, .dashPunctuation, .openPunctuation, .closePunctuation, .initialPunctuation,
            .finalPunctuation, .otherPunctuation:
            return true
        default: return false
        }
    }
}
