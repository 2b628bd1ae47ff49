import DataPipeline

/// How BLEU cuts text into tokens: a tokenizer of sacreBLEU.
public struct BLEUTokenizer: Sendable {
    /// sacreBLEU's names, which stand in signatures.
    public enum Kind: String, CaseIterable, Sendable {
        /// mteval-v13a's rules, for languages that put spaces between words.
        case mteval13a = "13a"
        /// The same, with every Chinese character a token.
        case chinese = "zh"
        /// Every character but white space a token.
        case characters = "char"
        /// mteval-v14's rules: punctuation and symbols of all scripts.
        case international = "intl"
        /// The pieces of the SentencePiece model of FLORES-200, or of another that is given.
        case flores200
    }

    public let kind: Kind
    /// The SentencePiece model of `flores200`; nil for every other kind.
    let model: SubwordModel?

    public static let mteval13a = BLEUTokenizer(kind: .mteval13a, model: nil)

    private init(kind: Kind, model: SubwordModel?) {
        self.kind = kind
        self.model = model
    }

    /// `model`: the file of the SentencePiece model, for `flores200` alone.
    ///
    /// - Throws: `DataError` if it cannot be loaded.
    public init(_ kind: Kind, modelFile: String? = nil) throws {
        precondition((kind == .flores200) == (modelFile != nil), "flores200 has a model, and no other tokenizer")
        self.init(kind: kind, model: try modelFile.map(SubwordModel.init(file:)))
    }

    /// The one that scores of a target language are given with: sacreBLEU's, but that for Japanese and Korean, for whose words it
    /// wants a dictionary, and for other scripts without spaces between words, characters are counted. `language` is a code of two
    /// or three letters, with parts after `_` or `-` that do not matter.
    public init(scoring language: String) {
        let code = language.prefix { $0 != "_" && $0 != "-" }.lowercased()
        self.init(
            kind: Self.chinese.contains(code) ? .chinese : Self.unspaced.contains(code) ? .characters : .mteval13a, model: nil)
    }

    /// Chinese languages.
    private static let chinese: Set<String> = ["zh", "zho", "chi", "cmn", "yue", "wuu", "lzh", "nan", "hak"]
    /// Japanese, Korean, Thai, Lao, Khmer, Burmese, Tibetan, Dzongkha.
    private static let unspaced: Set<String> = [
        "ja", "jpn", "ko", "kor", "th", "tha", "lo", "lao", "km", "khm", "my", "mya", "bur", "bo", "bod", "tib", "dz", "dzo",
    ]
}

/// Cuts segments into tokens, with the memory that this takes kept from one to the next.
struct SegmentTokenizer {
    private let tokenizer: BLEUTokenizer
    private var mteval = MtevalTokenizer()

    init(_ tokenizer: BLEUTokenizer) { self.tokenizer = tokenizer }

    /// The tokens of a segment, in order, each as UTF-8.
    mutating func tokens(of segment: String) -> [ArraySlice<UInt8>] {
        switch tokenizer.kind {
        case .mteval13a: return mteval.tokens(of: segment)
        case .chinese: return mteval.tokens(ofChinese: segment)
        case .international: return InternationalTokenizer.tokens(of: Whitespace.trimmedAtEnd(segment))
        case .characters:
            return segment.unicodeScalars.filter { !Whitespace.contains($0) }.map { Array(String($0).utf8)[...] }
        case .flores200:
            let pieces = tokenizer.model?.pieces(of: String(Whitespace.trimmedAtEnd(segment))) ?? []
            return pieces.flatMap { Whitespace.split(Array($0.utf8)) }
        }
    }
}
