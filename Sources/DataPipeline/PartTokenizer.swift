import Files
import Foundation

/// Tokenizes a part's pairs and writes its shards: one thread reads and writes in order, the others encode chunks meanwhile.
struct PartTokenizer {
    let configuration: DataConfiguration
    let folder: String
    let tokenizer: Tokenizer
    let threads: Int

    /// - Parameter advance: called with the pairs of each chunk that is done.
    func run(
        _ part: ParallelText.Part, _ heldOut: HeldOutPairs, _ advance: (Int) -> Void
    ) throws -> (part: PreparationManifest.Part, files: [FileRecord]) {
        let reader = try part.source.makeReader()
        var filter = LineFilter(configuration, part, heldOut)
        var output = try PartWriter(part, configuration, folder: folder, tokenizer: tokenizer)
        let encoding = ChunkEncoding(
            tokenizer: tokenizer, threads: threads, remembersWords: configuration.normalization == .none)
        func write(_ chunk: PairChunk) throws {
            try output.append(chunk, reader, &filter)
            advance(chunk.pairs.count)
        }
        var chunk = PairChunk()
        while let pair = try reader.next() {
            guard let text = try filter.text(of: pair, in: reader) else { continue }
            chunk.pairs.append((pair.number, text.source, text.target))
            if chunk.pairs.count == PairChunk.most {
                if let done = encoding.put(chunk) { try write(done) }
                chunk = PairChunk()
            }
        }
        if let done = encoding.put(chunk) { try write(done) }
        while let done = encoding.takeLast() { try write(done) }
        return try output.finish(skipped: filter.skipped)
    }
}

/// Where a part's tokens go, and for valid and test its text.
private struct PartWriter {
    private let configuration: DataConfiguration
    private var result: PreparationManifest.Part
    private var sources: TokenShardWriter
    private var targets: TokenShardWriter
    private let references: [FileWriter]
    /// Pairs of each corpus.
    private var corpora: [PreparationManifest.Part.Corpus]

    init(_ part: ParallelText.Part, _ configuration: DataConfiguration, folder: String, tokenizer: Tokenizer) throws {
        self.configuration = configuration
        let result = PreparationManifest.Part(pair: part.pair, split: part.split)
        let width = tokenizer.vocabularySize <= 1 << 16 ? 2 : 4
        let stems = [part.pair.source, part.pair.target].map { "\(folder)/\(result.stem($0))" }
        sources = try TokenShardWriter(stem: stems[0], width: width)
        targets = try TokenShardWriter(stem: stems[1], width: width)
        references = part.split == .train ? [] : try stems.map { try FileWriter(path: $0 + ".text") }
        corpora = part.corpora.map { .init(name: $0, count: 0) }
        self.result = result
    }

    mutating func append(_ chunk: PairChunk, _ reader: any PairReader, _ filter: inout LineFilter) throws {
        var position = 0
        for (index, pair) in chunk.pairs.enumerated() {
            let source = chunk.tokens[position..<(position + chunk.counts[2 * index])]
            let target = chunk.tokens[source.endIndex..<(source.endIndex + chunk.counts[2 * index + 1])]
            position = target.endIndex
            let longest = max(source.count, target.count)
            let side: LinePair.Side = source.count == longest ? .source : .target
            if longest > configuration.maximumLength {
                let location = reader.location(pair.number, side)
                guard result.split != .train else {
                    try filter.countLong(location, tokens: longest, maximum: configuration.maximumLength)
                    continue
                }
                try filter.allowLong(location, tokens: longest, maximum: configuration.maximumLength)
                result.longKept = (result.longKept ?? 0) + 1
            } else if filter.isUneven(source.count, target.count) {
                continue
            }
            try sources.append(source)
            try targets.append(target)
            if !references.isEmpty {
                try references[0].write(pair.source + "\n")
                try references[1].write(pair.target + "\n")
            }
            result.count += 1
            corpora[reader.corpus(pair.number)].count += 1
            result.source.add(source.count)
            result.target.add(target.count)
        }
    }

    func finish(skipped: SkippedPairs) throws -> (part: PreparationManifest.Part, files: [FileRecord]) {
        var part = result
        part.skipped = skipped
        part.corpora = corpora.map(\.name) == [DataConfiguration.mainCorpus] ? nil : corpora
        return (part, try sources.finish() + targets.finish() + references.map { try $0.finish() })
    }
}
