import Files

/// One preparation at work: three passes over the text, so that no more than some chunks of it are ever in memory. What an
/// interrupted one finished is taken over.
struct PreparationPasses {
    let configuration: DataConfiguration
    let text: ParallelText
    let folder: String
    let threads: Int
    private let languages: [String]
    private var journal: PreparationJournal
    private var heldOut = HeldOutPairs()

    init(configuration: DataConfiguration, text: ParallelText, folder: String, fingerprint: String, threads: Int) {
        self.configuration = configuration
        self.text = text
        self.folder = folder
        self.threads = max(1, threads)
        var languages: [String] = []
        for direction in text.directions {
            for language in [direction.source, direction.target] where !languages.contains(language) {
                languages.append(language)
            }
        }
        self.languages = languages
        journal = PreparationJournal(folder: folder, fingerprint: fingerprint)
    }

    /// The names of the files that an interrupted preparation finished.
    var finished: Set<String> { Set(journal.names + [PreparationJournal.fileName]) }

    mutating func run(
        inputs: [PreparationManifest.Input], progress: (PreparationProgress) -> Void
    ) throws -> PreparationManifest {
        let usable = try countUsable(progress)
        let tokenizer = try trainTokenizer(usable, progress)
        let total = usable.reduce(0, +)
        var done = 0
        var parts: [PreparationManifest.Part] = []
        for (part, count) in zip(text.parts, usable) {
            let name = "\(part.split.rawValue) \(part.pair)"
            func show() { progress(PreparationProgress(phase: .tokenizing, done: done, total: total, detail: name)) }
            if let finished = journal.part(part) {
                done += count
                show()
                parts.append(finished)
            } else {
                let tokenizing = PartTokenizer(
                    configuration: configuration, folder: folder, tokenizer: tokenizer, threads: threads)
                let (finished, files) = try tokenizing.run(part, heldOut) { pairs in
                    done += pairs
                    show()
                }
                try journal.add(finished, files)
                parts.append(finished)
            }
        }
        for (index, part) in parts.enumerated() where part.split == .train && part.count == 0 {
            throw DataError(
                .text,
                "\(part.pair): must have training sentences of at most data.maximum_length "
                    + "(\(configuration.maximumLength)) tokens, but all \(usable[index]) usable pairs were skipped")
        }
        for index in parts.indices {
            let copies = heldOut.copies(ofPart: index)
            parts[index].copies = copies.pairs > 0 ? copies.pairs : nil
            parts[index].sharedSides = copies.sides > 0 ? copies.sides : nil
        }
        let manifest = PreparationManifest(
            fingerprint: journal.fingerprint, vocabularySize: tokenizer.vocabularySize,
            requestedVocabulary: configuration.vocabulary, maximumLength: configuration.maximumLength,
            languages: languages, directions: text.directions, parts: parts, files: journal.files(of: text.parts),
            inputs: inputs)
        try FileWriter.write(manifest.serialized(), to: "\(folder)/\(PreparationManifest.fileName)")
        try journal.remove()
        return try PreparationManifest(folder: folder)
    }

    /// Reads every part once, so that text that must be refused is found before the tokenizer is trained: usable pairs a part.
    ///
    /// Training text comes last, so that what it shares with valid and test is seen.
    private mutating func countUsable(_ progress: (PreparationProgress) -> Void) throws -> [Int] {
        var counts = [Int](repeating: 0, count: text.parts.count)
        let isTraining = text.parts.map { $0.split == .train }
        let order = counts.indices.filter { !isTraining[$0] } + counts.indices.filter { isTraining[$0] }
        for (done, index) in order.enumerated() {
            let part = text.parts[index]
            progress(
                PreparationProgress(
                    phase: .reading, done: done, total: text.parts.count, detail: "\(part.split.rawValue) \(part.pair)"))
            let reader = try part.source.makeReader()
            var filter = LineFilter(configuration, part, heldOut)
            while let pair = try reader.next() {
                guard let usable = try filter.text(of: pair, in: reader) else { continue }
                counts[index] += 1
                if isTraining[index] {
                    heldOut.compare(usable, part.pair)
                } else {
                    heldOut.add(usable, part.pair, part: index)
                }
            }
            guard counts[index] > 0 || !isTraining[index] else {
                throw DataError(
                    .text,
                    "\(reader.location(1, .source)): must hold training sentences of \(part.pair), but none is usable "
                        + "(\(filter.skipped.total > 0 ? "\(filter.skipped)" : "there are no lines"))")
            }
        }
        return counts
    }

    private mutating func trainTokenizer(
        _ usable: [Int], _ progress: (PreparationProgress) -> Void
    ) throws -> Tokenizer {
        let training = zip(text.parts, usable).filter { $0.0.split == .train }
        let sentences = TokenizerSentences(
            parts: training.map(\.0), pairs: training.map(\.1), configuration: configuration, heldOut: heldOut)
        progress(
            PreparationProgress(
                phase: .tokenizer, done: 0, total: sentences.count, detail: "\(configuration.vocabulary) tokens"))
        if journal.hasTokenizer { return try Tokenizer(modelFile: "\(folder)/\(PreparationManifest.modelName)") }
        let trained = Result {
            try Tokenizer.train(
                sentences: sentences, vocabulary: configuration.vocabulary, languages: languages,
                characterCoverage: configuration.characterCoverage, normalization: configuration.normalization,
                byteFallback: configuration.byteFallback)
        }
        if let failure = sentences.failure { throw failure }
        let model = try trained.get()
        try journal.add(tokenizer: FileWriter.write(model, to: "\(folder)/\(PreparationManifest.modelName)"))
        return try Tokenizer(model: model)
    }
}
