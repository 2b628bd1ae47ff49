/// The source of the parallel text, and how it becomes token groups.
public struct DataConfiguration: Equatable, Sendable {
    public enum Format: String, CaseIterable, Sendable {
        /// Numbers written out in words, generated: needs no files.
        case numerals
        /// `<split>.<src>-<tgt>.<lang>` files, aligned line by line. Text files of all formats may be compressed: `.gz`, `.zst`.
        case moses
        /// `<split>.<src>-<tgt>.tsv` files: source, tab, target.
        case tsv
        /// `<split>.<src>-<tgt>.jsonl` files: a JSON object a line, whose fields `FieldNames` names.
        case jsonl
        /// `opus.<src>-<tgt>-<train|dev|test>.<lang>` files, as OPUS-100 names them, in folders `<src>-<tgt>` or one folder.
        case opus100
    }

    /// What to do with a line that cannot be used.
    public enum LinePolicy: String, CaseIterable, Sendable {
        /// Stop with an error that names file and line.
        case refuse
        /// Leave the sentence pair out and count it.
        case skip
    }

    /// Unicode's normalisation of text, source and target.
    public enum Normalization: String, CaseIterable, Sendable {
        /// Only runs of spaces become one.
        case none
        /// Compatibility forms ("½", "ﬁ", full-width letters) become plain ones, and accents are composed: on the target side
        /// too, so that translations have the plain forms.
        case nfkc
        /// The same, with the exceptions and the treatment of white space that machine translation made common.
        case nmtNFKC = "nmt_nfkc"
    }

    public var format: Format
    /// The folder of the text files; nil only for `numerals`.
    public var path: String?
    /// The folder that `strata prepare` writes and training reads.
    public var prepared: String
    /// Folders of further training text of the same format, by the names of the corpora.
    public var corpora: [String: String] = [:]
    /// How much training draws from each corpus: see `CorpusStage`.
    public var weights: [String: Double] = [:]
    /// Other weights from an update on.
    public var stages: [CorpusStage] = []
    /// The directions to train; empty: all that the files hold, each pair both ways.
    public var directions: [Direction] = []
    /// The tokenizer's size, special tokens included; a small corpus gives fewer tokens.
    public var vocabulary = 32_000
    /// The share of the training text's characters that the tokenizer must know, 0.98 to 1; the rarest
    /// others become unknown. Below 1 for noisy text or scripts with many thousand characters.
    public var characterCoverage: Double = 1
    /// The most sentences of the training text that the tokenizer is trained on: they bound its memory and time.
    public var tokenizerSentences = 200_000
    /// Parts of the text give sentences to the tokenizer's training ∝ pairs^(1 / this); 1: in proportion.
    public var tokenizerTemperature: Double = 5
    /// What the tokenizer does to text before it splits it.
    public var normalization = Normalization.none
    /// Characters that the tokenizer does not know become tokens of their bytes, not unknown.
    public var byteFallback = false
    /// Directions are drawn with p ∝ (pairs / all pairs)^(1 / temperature).
    public var temperature: Double = 1
    /// Training draws segmentations of the text with probability ∝ P^α, α this number; 0: the best one, always.
    public var subwordSampling: Double = 0
    /// The longest sentence, in tokens, on either side. Text of valid and test is scored whole: longer sentences stay in it.
    public var maximumLength = 256
    public var emptyLines = LinePolicy.skip
    public var longSentences = LinePolicy.skip
    public var invalidText = LinePolicy.refuse
    public var fields = FieldNames()
    public var filters = FilterConfiguration()
    public var numerals = NumeralsConfiguration()

    public init(format: Format, path: String? = nil, prepared: String) {
        self.format = format
        self.path = path
        self.prepared = prepared
    }
}

/// The embedded corpus: numbers written out in words, English with each other language.
public struct NumeralsConfiguration: Equatable, Sendable {
    /// Numbers from 0 up to, not including, this one.
    public var below = 100_000
    /// Languages beside English, as ISO 639-3 codes.
    public var languages = ["cat", "msa", "tgl", "isl", "slv", "nob", "ltz", "ind"]
    /// Training pairs a language; `pairsByLanguage` overrides it.
    public var pairs = 20_000
    public var pairsByLanguage: [String: Int] = [:]
    /// Held-out numbers: they appear in no training pair of any language.
    public var validation = 100
    public var test = 200
    /// Decides which numbers are drawn.
    public var seed: UInt64 = 1

    public init() {}
}
