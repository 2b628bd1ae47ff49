import Files
import Foundation

/// `manifest.json` of a prepared folder: what was prepared from what, and every file with its size and checksum.
public struct PreparationManifest: Equatable, Codable, Sendable {
    public static let fileName = "manifest.json"
    public static let modelName = "sentencepiece.model"
    static let format = "strata-prepared"
    static let version = 1

    /// A text file that was read. Size and time of status change tell that it need not be read again to know its checksum.
    public struct Input: Equatable, Codable, Sendable {
        public let name: String
        public let size: Int
        /// Nanoseconds since 1970.
        public let changed: Int
        public let checksum: String
    }

    /// The lengths of one side's sentences, in tokens without language token and `</s>`.
    public struct Lengths: Equatable, Codable, Sendable {
        public internal(set) var tokens = 0
        public internal(set) var longest = 0
        /// The sum of the squared lengths.
        public internal(set) var squares = 0

        mutating func add(_ length: Int) {
            tokens += length
            longest = max(longest, length)
            squares += length * length
        }
    }

    /// One split of one language pair, stored once for both directions.
    public struct Part: Equatable, Codable, Sendable {
        public let pair: String
        public let split: Split
        /// Sentence pairs.
        public internal(set) var count = 0
        public internal(set) var source = Lengths()
        public internal(set) var target = Lengths()
        /// Pairs that were left out.
        public internal(set) var skipped = SkippedPairs()
        /// Pairs of valid and test over `data.maximum_length`. They stay, for a score must cover the whole set; only validation
        /// loss leaves them out. nil for none.
        public internal(set) var longKept: Int?
        /// Pairs of valid and test that the training text has too, and others of which it has one side. nil for none.
        public internal(set) var copies: Int?
        public internal(set) var sharedSides: Int?
        /// The corpora that the pairs are of, one after the other; nil for that of `data.path` alone.
        public internal(set) var corpora: [Corpus]?

        public struct Corpus: Equatable, Codable, Sendable {
            public let name: String
            /// Sentence pairs.
            public internal(set) var count: Int
        }

        init(pair: Direction, split: Split) {
            self.pair = pair.description
            self.split = split
        }

        /// `train.eng-cat.eng`: the begin of the names of one side's files.
        func stem(_ language: String) -> String { "\(split.rawValue).\(pair).\(language)" }
    }

    public internal(set) var format = Self.format
    public internal(set) var version = Self.version
    /// A hash of configuration and input: the same text prepared the same way has it on any machine.
    public internal(set) var fingerprint: String
    public internal(set) var vocabularySize: Int
    public internal(set) var requestedVocabulary: Int
    public internal(set) var maximumLength: Int
    public internal(set) var languages: [String]
    public internal(set) var directions: [String]
    public internal(set) var parts: [Part]
    public internal(set) var files: [FileRecord]
    public internal(set) var inputs: [Input]
    /// The hash of the manifest itself, computed with this field empty.
    var checksum = ""

    /// Bytes of a token in the shards.
    var tokenWidth: Int { vocabularySize <= 1 << 16 ? 2 : 4 }

    /// The JSON text, its own checksum included.
    func serialized() throws -> Data {
        var sealed = self
        sealed.checksum = ""
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .prettyPrinted, .withoutEscapingSlashes]
        sealed.checksum = Checksum.text(of: try encoder.encode(sealed))
        return try encoder.encode(sealed)
    }

    /// Reads and checks the manifest of a folder.
    init(folder: String) throws {
        let path = "\(folder)/\(Self.fileName)"
        let remedy = "run strata prepare CONFIG again"
        guard FileManager.default.fileExists(atPath: path) else {
            throw DataError(
                .prepared, "\(folder): must be a prepared folder, but has no \(Self.fileName): run strata prepare CONFIG")
        }
        struct Header: Decodable {
            let format: String
            let version: Int
        }
        do {
            let data = try Data(contentsOf: URL(fileURLWithPath: path))
            let header = try JSONDecoder().decode(Header.self, from: data)
            guard header.format == Self.format, header.version == Self.version else {
                throw DataError(
                    .prepared,
                    "\(path): must be \(Self.format) of version \(Self.version), but is \(header.format) of "
                        + "version \(header.version): \(remedy)")
            }
            self = try JSONDecoder().decode(Self.self, from: data)
            guard try serialized() == data else {
                throw DataError(.prepared, "\(path): must match its checksum, but is damaged: \(remedy)")
            }
        } catch let error as DataError {
            throw error
        } catch {
            throw DataError(.prepared, "\(path): must be a manifest that strata prepare wrote, but is not: \(remedy)")
        }
    }

    init(
        fingerprint: String, vocabularySize: Int, requestedVocabulary: Int, maximumLength: Int, languages: [String],
        directions: [Direction], parts: [Part], files: [FileRecord], inputs: [Input]
    ) {
        self.fingerprint = fingerprint
        self.vocabularySize = vocabularySize
        self.requestedVocabulary = requestedVocabulary
        self.maximumLength = maximumLength
        self.languages = languages
        self.directions = directions.map(\.description)
        self.parts = parts
        self.files = files
        self.inputs = inputs
    }
}
