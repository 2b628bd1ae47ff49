import Files
import Foundation

/// A prepared folder, memory-mapped: the tokenizer and every sentence pair's tokens, in any order and at no cost of memory.
public final class PreparedCorpus: Sendable {
    public let path: String
    public let manifest: PreparationManifest
    public let tokenizer: Tokenizer
    /// The directions to train; `TokenGroup.directions` are indices into them.
    public let directions: [Direction]
    private let pairsByDirection: [Key: OrientedPair]

    private struct Key: Hashable {
        let direction: Direction
        let split: Split
    }

    /// Opens a folder that `prepare` wrote and checks manifest and sizes. `verify` checks the content.
    ///
    /// - Throws: `DataError.prepared` naming the file that is missing or does not fit.
    public init(path: String) throws {
        self.path = path
        manifest = try PreparationManifest(folder: path)
        for file in manifest.files {
            let name = "\(path)/\(file.name)"
            var status = stat()
            guard stat(name, &status) == 0 else {
                throw DataError(
                    .prepared, "\(name): must be a file of \(file.size) bytes, but is missing: run strata prepare CONFIG again")
            }
            guard Int(status.st_size) == file.size else {
                throw DataError(
                    .prepared, "\(name): must be \(file.size) bytes, but is \(status.st_size): run strata prepare CONFIG again")
            }
        }
        tokenizer = try Tokenizer(modelFile: "\(path)/\(PreparationManifest.modelName)")
        guard tokenizer.vocabularySize == manifest.vocabularySize else {
            throw DataError(
                .prepared,
                "\(path)/\(PreparationManifest.modelName): must have \(manifest.vocabularySize) tokens, but has "
                    + "\(tokenizer.vocabularySize): run strata prepare CONFIG again")
        }
        directions = manifest.directions.compactMap(Direction.init)
        var pairs: [Key: OrientedPair] = [:]
        for split in Split.allCases {
            let parts = manifest.parts.filter { $0.split == split }
            let found = parts.compactMap { Direction($0.pair) }
            for direction in directions {
                guard let pair = ParallelText.pair(for: direction, among: found), let index = found.firstIndex(of: pair) else {
                    continue
                }
                // The other direction of the same pair shares its mappings.
                if let other = pairs[Key(direction: direction.reversed, split: split)], other.pair == pair {
                    pairs[Key(direction: direction, split: split)] = other.reversed
                } else {
                    let stored = try OrientedPair(folder: path, part: parts[index], pair: pair, width: manifest.tokenWidth)
                    pairs[Key(direction: direction, split: split)] = pair == direction ? stored : stored.reversed
                }
            }
        }
        pairsByDirection = pairs
    }

    public var fingerprint: String { manifest.fingerprint }
    public var vocabularySize: Int { manifest.vocabularySize }
    public var languages: [String] { manifest.languages }

    /// Holds the folder to the settings of a configuration; its directions may be some of the prepared ones.
    ///
    /// - Throws: `DataError.prepared` if the folder was prepared with other settings.
    public func requireSettings(of configuration: DataConfiguration) throws {
        let fingerprints = try acceptedFingerprints(configuration, directions: directions, inputs: manifest.inputs)
        guard fingerprints.contains(manifest.fingerprint) else {
            throw DataError(
                .prepared,
                "\(path): was prepared with other settings than the configuration's data section has now: "
                    + "run strata prepare CONFIG again, or name another folder in data.prepared")
        }
    }

    /// Reads every file, or those of one split and the tokenizer's, and compares checksums.
    ///
    /// - Throws: `DataError.prepared` naming the first file that is damaged.
    public func verify(_ split: Split? = nil) throws {
        let others = Split.allCases.filter { split != nil && $0 != split }
        for file in manifest.files where !others.contains(where: { file.name.hasPrefix("\($0.rawValue).") }) {
            let name = "\(path)/\(file.name)"
            let checksum = try Checksum.text(ofFile: name)
            guard checksum == file.checksum else {
                throw DataError(
                    .prepared,
                    "\(name): must have the checksum \(file.checksum), but has \(checksum): the file is damaged, "
                        + "run strata prepare CONFIG again")
            }
        }
    }

    /// The number of sentence pairs; 0 for a direction or split that is not there.
    public func pairs(_ direction: Direction, _ split: Split) -> Int { oriented(direction, split)?.source.count ?? 0 }

    /// A pair's tokens, without language tokens and `</s>`.
    public func sentence(_ direction: Direction, _ split: Split, _ index: Int) -> (source: [Int32], target: [Int32]) {
        guard let pair = oriented(direction, split) else {
            preconditionFailure("there is no \(split.rawValue) text of \(direction)")
        }
        return (pair.source.sentence(index), pair.target.sentence(index))
    }

    /// The text of valid or test, verbatim and aligned with `sentence`: what is to be translated and what to compare with.
    ///
    /// - Throws: `DataError.prepared` if a file does not have as many lines as it must.
    public func references(_ direction: Direction, _ split: Split) throws -> (sources: [String], references: [String]) {
        precondition(split != .train, "training text is not kept")
        guard let pair = oriented(direction, split) else { return ([], []) }
        return (try pair.text(direction.source), try pair.text(direction.target))
    }

    func oriented(_ direction: Direction, _ split: Split) -> OrientedPair? {
        pairsByDirection[Key(direction: direction, split: split)]
    }
}

/// One split of a language pair, seen in one of its directions.
struct OrientedPair: Sendable {
    /// As stored.
    let pair: Direction
    let source: TokenShard
    let target: TokenShard
    let sourceLengths: PreparationManifest.Lengths
    let targetLengths: PreparationManifest.Lengths
    /// Which sentences are of which corpus.
    let corpora: [(name: String, sentences: Range<Int>)]
    private let folder: String
    private let part: PreparationManifest.Part

    init(folder: String, part: PreparationManifest.Part, pair: Direction, width: Int) throws {
        self.pair = pair
        self.folder = folder
        self.part = part
        source = try TokenShard(
            stem: "\(folder)/\(part.stem(pair.source))", count: part.count, tokenCount: part.source.tokens, width: width)
        target = try TokenShard(
            stem: "\(folder)/\(part.stem(pair.target))", count: part.count, tokenCount: part.target.tokens, width: width)
        sourceLengths = part.source
        targetLengths = part.target
        corpora = try Self.corpora(of: part, folder)
    }

    private static func corpora(
        of part: PreparationManifest.Part, _ folder: String
    ) throws -> [(name: String, sentences: Range<Int>)] {
        guard let corpora = part.corpora else { return [(DataConfiguration.mainCorpus, 0..<part.count)] }
        var begin = 0
        var ranges: [(name: String, sentences: Range<Int>)] = []
        for corpus in corpora where (0...part.count - begin).contains(corpus.count) {
            ranges.append((corpus.name, begin..<begin + corpus.count))
            begin += corpus.count
        }
        guard ranges.count == corpora.count, begin == part.count else {
            throw DataError(
                .prepared,
                "\(folder)/\(PreparationManifest.fileName): the corpora of \(part.pair) must have \(part.count) pairs together, but "
                    + "have others: run strata prepare CONFIG again")
        }
        return ranges
    }

    private init(reversing other: OrientedPair) {
        pair = other.pair
        folder = other.folder
        part = other.part
        (source, target) = (other.target, other.source)
        (sourceLengths, targetLengths) = (other.targetLengths, other.sourceLengths)
        corpora = other.corpora
    }

    var reversed: OrientedPair { OrientedPair(reversing: self) }

    func text(_ language: String) throws -> [String] {
        let path = "\(folder)/\(part.stem(language)).text"
        let file = try MappedFile(path: path)
        let lines = file.bytes.split(separator: 0x0A, omittingEmptySubsequences: false).dropLast()
        guard lines.count == part.count else {
            throw DataError(
                .prepared, "\(path): must have \(part.count) lines, but has \(lines.count): run strata prepare CONFIG again")
        }
        return lines.map { String(decoding: $0, as: UTF8.self) }
    }
}
