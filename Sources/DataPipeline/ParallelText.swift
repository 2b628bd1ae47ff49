/// Parallel text as found: language pairs, each with splits that hold aligned lines.
struct ParallelText: Sendable {
    struct Part: Sendable {
        /// The pair in the order the text has it; it serves both directions.
        let pair: Direction
        let split: Split
        let source: any PairSource
        /// The names of the corpora that it is of, in the order of its text.
        var corpora = [DataConfiguration.mainCorpus]
    }

    /// The parts in a fixed order: by pair, then by split.
    let parts: [Part]
    /// The directions to train, in the configured order.
    let directions: [Direction]
    /// What the user may not expect: files that are not used, pairs and splits that are not there.
    let remarks: [String]

    /// Finds the text of a configuration and checks that each direction can be trained. Reads no line of it.
    ///
    /// - Throws: `DataError` for an impossible configuration, a missing folder, or a direction without training text; the
    ///   message lists what was found.
    static func open(_ configuration: DataConfiguration) throws -> ParallelText {
        if configuration.format == .numerals {
            let corpus = try NumeralCorpus(configuration.numerals)
            let found = corpus.pairs.flatMap { pair in
                Split.allCases.compactMap { split in
                    let numbers = corpus.numbers(language: pair.target, split: split)
                    return numbers.isEmpty
                        ? nil : Part(pair: pair, split: split, source: NumeralPairs(pair: pair, numbers: numbers))
                }
            }
            return try ParallelText(
                found: found, requested: configuration.directions, place: "the numerals corpus", format: .numerals)
        }
        guard let path = configuration.path, !path.isEmpty else {
            throw DataError(
                .configuration,
                "data.path must be the folder of the text files for data.format \(configuration.format.rawValue), but "
                    + "is not given")
        }
        let files = try TextFiles(folder: path, format: configuration.format, fields: configuration.fields)
        var corpora = CorpusParts(files.parts), unused = files.unused
        for (name, folder) in configuration.corpora.sorted(by: { $0.key < $1.key }) {
            let further = try TextFiles(
                folder: folder, key: "data.corpora.\(name)", format: configuration.format, fields: configuration.fields)
            unused += further.unused + corpora.add(further.parts, name)
        }
        return try ParallelText(
            found: corpora.parts, requested: configuration.directions, place: path, format: configuration.format,
            unused: unused, others: files.others)
    }

    private init(
        found: [Part], requested: [Direction], place: String, format: DataConfiguration.Format, unused: [String] = [],
        others: [String] = []
    ) throws {
        let trainable = found.filter { $0.split == .train }.map(\.pair)
        let inventory = TextInventory(found: found, unused: unused, others: others)
        var chosen: [Direction] = []
        if requested.isEmpty {
            guard !trainable.isEmpty else {
                throw DataError(
                    .text, "\(place): must hold training text as \(format.fileNames), but has \(inventory)")
            }
            for pair in trainable {
                for direction in [pair, pair.reversed] where !chosen.contains(direction) { chosen.append(direction) }
            }
        } else {
            guard Set(requested).count == requested.count else {
                throw DataError(
                    .configuration,
                    "data.directions must be distinct, but are "
                        + requested.map(\.description).joined(separator: ", "))
            }
            for direction in requested where !trainable.contains(direction) && !trainable.contains(direction.reversed) {
                throw DataError(
                    .text,
                    "\(place): must hold training text for \(direction) of data.directions as \(format.fileNames) (either "
                        + "order of the languages will do), but has \(inventory)")
            }
            chosen = requested
        }
        directions = chosen
        // Text in the direction's own order comes first; the reverse serves where there is none.
        let needed = Set(
            chosen.flatMap { direction in
                Split.allCases.compactMap { split in
                    Self.pair(for: direction, among: found.filter { $0.split == split }.map(\.pair)).map {
                        "\($0) \(split)"
                    }
                }
            })
        parts = found.filter { needed.contains("\($0.pair) \($0.split)") }
        remarks = inventory.remarks(training: chosen, areRequested: !requested.isEmpty)
    }

    /// Which of the pairs serves a direction: the one of the same order, else its reverse.
    static func pair(for direction: Direction, among pairs: [Direction]) -> Direction? {
        [direction, direction.reversed].first(where: pairs.contains)
    }
}
