import Files
import Foundation
import TensorCore

extension PreparedCorpus {
    /// Trains the tokenizer, tokenizes each language pair once and writes the folder `configuration.prepared`.
    ///
    /// Memory is bounded whatever the corpus. The folder appears by a rename when it is complete; until then an older one
    /// stays. If it already holds this text prepared this way, undamaged, nothing is done.
    ///
    /// - Parameters:
    ///   - threads: those that tokenize; they do not change the result.
    ///   - force: replaces a folder of other text or settings even if runs were trained on it.
    ///   - progress: called on the calling thread, a few times a second of work.
    /// - Throws: `DataError`: impossible configuration, unusable text, or a refusing file system.
    public static func prepare(
        configuration: DataConfiguration, threads: Int = Processors.available, force: Bool = false,
        progress: (PreparationProgress) -> Void = { _ in }
    ) throws -> PreparationReport {
        try check(configuration)
        var destination = configuration.prepared
        while destination.count > 1, destination.hasSuffix("/") { destination.removeLast() }
        let text = try ParallelText.open(configuration)

        let previous = try? PreparationManifest(folder: destination)
        let paths = text.parts.flatMap(\.source.files)
        let inputs = try examine(paths, known: previous?.inputs ?? []) { done in
            progress(PreparationProgress(phase: .examining, done: done, total: paths.count, detail: paths[done]))
        }
        let fingerprint = try preparationFingerprint(configuration, directions: text.directions, inputs: inputs)
        if let previous, previous.fingerprint == fingerprint, (try? PreparedCorpus(path: destination).verify()) != nil {
            return PreparationReport(path: destination, alreadyPrepared: true, manifest: previous, text: text)
        }

        let runs = TrainedRuns(folder: destination).paths
        // Of the same fingerprint it is damaged: what is made anew fits the runs.
        let stays = previous?.fingerprint == fingerprint
        guard runs.isEmpty || stays || force else {
            throw DataError(
                .configuration,
                "\(destination): must be prepared data that no run was trained on, but \(runs.joined(separator: ", ")) \(runs.count == 1 ? "was" : "were"); "
                    + "made anew from other text or settings it no longer fits: name another folder in data.prepared, or add --force"
            )
        }
        let folder = try PreparationFolder(destination: destination)
        do {
            var preparation = Preparation(configuration: configuration, text: text, folder: folder.partial, threads: threads)
            let manifest = try preparation.run(fingerprint: fingerprint, inputs: inputs, progress: progress)
            if stays { for run in runs { TrainedRuns(folder: folder.partial).add(run) } }
            try folder.commit()
            return PreparationReport(path: destination, alreadyPrepared: false, manifest: manifest, text: text)
        } catch {
            folder.abandon()
            throw error
        }
    }

    private static func check(_ configuration: DataConfiguration) throws {
        func require(_ condition: Bool, _ key: String, _ must: String, _ actual: Any) throws {
            if !condition { throw DataError(.configuration, "data.\(key) must be \(must), but is \(actual)") }
        }
        try require(!configuration.prepared.isEmpty, "prepared", "a folder", "empty")
        try require(configuration.vocabulary > 0, "vocabulary", "more than 0", configuration.vocabulary)
        try require(
            (0.98...1).contains(configuration.characterCoverage), "character_coverage",
            "0.98 to 1", configuration.characterCoverage)
        try require(
            configuration.tokenizerSentences > 0, "tokenizer_sentences", "more than 0", configuration.tokenizerSentences)
        try require(configuration.maximumLength > 0, "maximum_length", "more than 0", configuration.maximumLength)
    }
}

/// One preparation at work: three passes over the text, so that no more than a chunk of it is ever in memory.
private struct Preparation {
    private static let chunk = 4096

    let configuration: DataConfiguration
    let text: ParallelText
    let folder: String
    let threads: Int
    private var languages: [String] = []
    private var files: [FileRecord] = []
    private var heldOut = HeldOutPairs()

    init(configuration: DataConfiguration, text: ParallelText, folder: String, threads: Int) {
        self.configuration = configuration
        self.text = text
        self.folder = folder
        self.threads = max(1, threads)
        for direction in text.directions {
            for language in [direction.source, direction.target] where !languages.contains(language) {
                languages.append(language)
            }
        }
    }

    mutating func run(
        fingerprint: String, inputs: [PreparationManifest.Input], progress: (PreparationProgress) -> Void
    ) throws -> PreparationManifest {
        let usable = try countUsable(progress)
        let trainingPairs = zip(text.parts, usable).reduce(0) { $0 + ($1.0.split == .train ? $1.1 : 0) }
        let tokenizer = try trainTokenizer(pairs: trainingPairs, progress)

        let total = usable.reduce(0, +)
        var done = 0
        var parts: [PreparationManifest.Part] = []
        for (index, part) in text.parts.enumerated() {
            let name = "\(part.split.rawValue) \(part.pair)"
            parts.append(
                try tokenize(part, tokenizer) { pairs in
                    done += pairs
                    progress(PreparationProgress(phase: .tokenizing, done: done, total: total, detail: name))
                })
            let copies = heldOut.copies(ofPart: index)
            parts[index].copies = copies.pairs > 0 ? copies.pairs : nil
            parts[index].sharedSides = copies.sides > 0 ? copies.sides : nil
        }
        for part in parts where part.split == .train && part.count == 0 {
            throw DataError(
                .text,
                "\(part.pair): must have training sentences of at most data.maximum_length "
                    + "(\(configuration.maximumLength)) tokens, but all \(part.skipped.total) pairs were skipped")
        }
        let manifest = PreparationManifest(
            fingerprint: fingerprint, vocabularySize: tokenizer.vocabularySize,
            requestedVocabulary: configuration.vocabulary, maximumLength: configuration.maximumLength,
            languages: languages, directions: text.directions, parts: parts, files: files, inputs: inputs)
        try FileWriter.write(manifest.serialized(), to: "\(folder)/\(PreparationManifest.fileName)")
        return try PreparationManifest(folder: folder)
    }

    /// Reads every part once, so that text that must be refused is found before the tokenizer is trained: usable pairs a part.
    ///
    /// Training text comes last, so that what it shares with valid and test is seen.
    private mutating func countUsable(_ progress: (PreparationProgress) -> Void) throws -> [Int] {
        var counts = [Int](repeating: 0, count: text.parts.count)
        let order = counts.indices.sorted {
            (text.parts[$0].split == .train ? 1 : 0, $0) < (text.parts[$1].split == .train ? 1 : 0, $1)
        }
        for (done, index) in order.enumerated() {
            let part = text.parts[index]
            progress(
                PreparationProgress(
                    phase: .reading, done: done, total: text.parts.count, detail: "\(part.split.rawValue) \(part.pair)"))
            let reader = try part.source.makeReader()
            var filter = LineFilter(configuration)
            var count = 0
            while let pair = try reader.next() {
                guard let usable = try filter.text(of: pair, in: reader) else { continue }
                count += 1
                if part.split == .train {
                    heldOut.compare(usable, part.pair)
                } else {
                    heldOut.add(usable, part.pair, part: index)
                }
            }
            if count == 0, part.split == .train {
                throw DataError(
                    .text,
                    "\(reader.location(1, .source)): must hold training sentences of \(part.pair), but none is usable "
                        + "(\(filter.skipped.empty) empty, \(filter.skipped.long) too long, \(filter.skipped.invalid) invalid)")
            }
            counts[index] = count
        }
        return counts
    }

    private mutating func trainTokenizer(
        pairs: Int, _ progress: (PreparationProgress) -> Void
    ) throws -> Tokenizer {
        let training = TrainingSentences(
            parts: text.parts.filter { $0.split == .train }, configuration: configuration, total: 2 * pairs)
        progress(
            PreparationProgress(
                phase: .tokenizer, done: 0, total: min(2 * pairs, configuration.tokenizerSentences),
                detail: "\(configuration.vocabulary) tokens"))
        let trained = Result {
            try Tokenizer.train(
                sentences: training, vocabulary: configuration.vocabulary, languages: languages,
                characterCoverage: configuration.characterCoverage)
        }
        if let failure = training.failure { throw failure }
        let model = try trained.get()
        files.append(try FileWriter.write(model, to: "\(folder)/\(PreparationManifest.modelName)"))
        return try Tokenizer(model: model)
    }

    private mutating func tokenize(
        _ part: ParallelText.Part, _ tokenizer: Tokenizer, _ advance: (Int) -> Void
    ) throws -> PreparationManifest.Part {
        var result = PreparationManifest.Part(pair: part.pair, split: part.split)
        let width = tokenizer.vocabularySize <= 1 << 16 ? 2 : 4
        let stems = [part.pair.source, part.pair.target].map { "\(folder)/\(result.stem($0))" }
        var sources = try TokenShardWriter(stem: stems[0], width: width)
        var targets = try TokenShardWriter(stem: stems[1], width: width)
        let references = part.split == .train ? [] : try stems.map { try FileWriter(path: $0 + ".text") }

        let reader = try part.source.makeReader()
        var filter = LineFilter(configuration)
        var chunk: [(number: Int, source: String, target: String)] = []
        func flush() throws {
            let encoded = encode(chunk, tokenizer)
            for (pair, tokens) in zip(chunk, encoded) {
                let longest = max(tokens.source.count, tokens.target.count)
                if longest > configuration.maximumLength {
                    let side: LinePair.Side = tokens.source.count == longest ? .source : .target
                    let location = reader.location(pair.number, side)
                    guard part.split != .train else {
                        try filter.countLong(location, tokens: longest, maximum: configuration.maximumLength)
                        continue
                    }
                    try filter.allowLong(location, tokens: longest, maximum: configuration.maximumLength)
                    result.longKept = (result.longKept ?? 0) + 1
                }
                try sources.append(tokens.source)
                try targets.append(tokens.target)
                if part.split != .train {
                    try references[0].write(pair.source + "\n")
                    try references[1].write(pair.target + "\n")
                }
                result.count += 1
                result.source.add(tokens.source.count)
                result.target.add(tokens.target.count)
            }
            advance(chunk.count)
            chunk.removeAll(keepingCapacity: true)
        }
        while let pair = try reader.next() {
            guard let text = try filter.text(of: pair, in: reader) else { continue }
            chunk.append((pair.number, text.source, text.target))
            if chunk.count == Self.chunk { try flush() }
        }
        try flush()
        result.skipped = filter.skipped
        files += try sources.finish() + targets.finish()
        for reference in references { files.append(try reference.finish()) }
        return result
    }

    /// The chunk's tokens in its order, computed by several threads.
    private func encode(
        _ chunk: [(number: Int, source: String, target: String)], _ tokenizer: Tokenizer
    ) -> [(source: [Int32], target: [Int32])] {
        var encoded: [(source: [Int32], target: [Int32])] = Array(repeating: ([], []), count: chunk.count)
        encoded.withUnsafeMutableBufferPointer { buffer in
            // Each thread writes the elements of its own range.
            nonisolated(unsafe) let output = buffer.baseAddress
            let threads = threads
            DispatchQueue.concurrentPerform(iterations: threads) { thread in
                for index in (chunk.count * thread / threads)..<(chunk.count * (thread + 1) / threads) {
                    output![index] = (tokenizer.encode(chunk[index].source), tokenizer.encode(chunk[index].target))
                }
            }
        }
        return encoded
    }
}

/// Both sides of the usable training pairs, thinned evenly to the configured number of sentences.
private final class TrainingSentences: Sequence, IteratorProtocol {
    private let configuration: DataConfiguration
    private let total: Int
    private var parts: ArraySlice<ParallelText.Part>
    private var reader: (any PairReader)?
    private var filter: LineFilter
    private var pending: String?
    private var ordinal = 0
    /// What ended the sequence early; nil at a proper end.
    private(set) var failure: (any Error)?

    init(parts: [ParallelText.Part], configuration: DataConfiguration, total: Int) {
        self.parts = parts[...]
        self.configuration = configuration
        self.total = total
        filter = LineFilter(configuration)
    }

    func next() -> String? {
        while let sentence = nextSentence() {
            let limit = Swift.min(configuration.tokenizerSentences, total)
            let taken = (ordinal + 1) * limit / total > ordinal * limit / total
            ordinal += 1
            if taken { return sentence }
        }
        return nil
    }

    private func nextSentence() -> String? {
        if let sentence = pending {
            pending = nil
            return sentence
        }
        do {
            while true {
                if reader == nil {
                    guard let part = parts.popFirst() else { return nil }
                    reader = try part.source.makeReader()
                }
                guard let reader, let pair = try reader.next() else {
                    reader = nil
                    continue
                }
                guard let text = try filter.text(of: pair, in: reader) else { continue }
                pending = text.target
                return text.source
            }
        } catch {
            failure = error
            return nil
        }
    }
}
