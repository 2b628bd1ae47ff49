import Foundation

/// Writes numbers out in words of one language, by the spell-out rules of ICU.
///
/// A speller is not Sendable, for a formatter belongs to one thread.
struct NumeralSpeller {
    /// ISO 639-3 codes of the languages that ICU has rules for, and the locale that holds them.
    static let locales: [String: String] = [
        "afr": "af", "aka": "ak", "amh": "am", "ara": "ar", "aze": "az", "bel": "be", "bos": "bs", "bul": "bg", "cat": "ca",
        "ces": "cs", "cmn": "zh", "cym": "cy", "dan": "da", "deu": "de", "ell": "el", "eng": "en", "epo": "eo", "est": "et",
        "ewe": "ee", "fao": "fo", "fas": "fa", "fil": "fil", "fin": "fi", "fra": "fr", "ful": "ff", "gle": "ga", "guj": "gu",
        "heb": "he", "hin": "hi", "hrv": "hr", "hun": "hu", "hye": "hy", "ind": "id", "isl": "is", "ita": "it", "jpn": "ja",
        "kal": "kl", "kat": "ka", "kaz": "kk", "khm": "km", "kir": "ky", "kor": "ko", "lao": "lo", "lav": "lv", "lit": "lt",
        "ltz": "lb", "mkd": "mk", "mlt": "mt", "msa": "ms", "mya": "my", "nep": "ne", "nld": "nl", "nno": "nn", "nob": "nb",
        "pol": "pl", "por": "pt", "que": "qu", "ron": "ro", "rus": "ru", "slk": "sk", "slv": "sl", "sme": "se", "spa": "es",
        "sqi": "sq", "srp": "sr", "sun": "su", "swa": "sw", "swe": "sv", "tam": "ta", "tgl": "fil", "tha": "th", "tur": "tr",
        "ukr": "uk", "vec": "vec", "vie": "vi", "yue": "yue", "zho": "zh", "zsm": "ms",
    ]

    private let formatter: NumberFormatter

    init(language: String) throws {
        let available = Self.locales.keys.sorted().joined(separator: ", ")
        guard let locale = Self.locales[language] else {
            throw DataError(
                .configuration,
                "data.numerals.languages must be languages with rules for numbers in words, but has \(language); "
                    + "available: \(available)")
        }
        formatter = Self.formatter(locale)
        guard language != "eng" else { return }
        // Without rules of its own a locale is spelled out in English, silently.
        let english = Self.formatter("en")
        let probes = [3, 8, 21, 99, 456, 1234, 54321]
        if probes.allSatisfy({ formatter.string(for: $0) == english.string(for: $0) }) {
            throw DataError(
                .configuration,
                "data.numerals.languages: \(language) must have rules for numbers in words, but this system's Foundation "
                    + "has none for it; choose among: \(available)")
        }
    }

    private static func formatter(_ locale: String) -> NumberFormatter {
        let formatter = NumberFormatter()
        formatter.locale = Locale(identifier: locale)
        formatter.numberStyle = .spellOut
        return formatter
    }

    /// The number in words. Soft hyphens, which ICU puts between the parts of compounds, are removed: they are invisible.
    func words(_ number: Int) -> String {
        let words = formatter.string(for: number) ?? String(number)
        guard words.utf8.contains(0xC2) else { return words }
        return String(String.UnicodeScalarView(words.unicodeScalars.filter { $0 != "\u{AD}" }))
    }
}
