import ArgumentParser
import DataPipeline

/// The text that a model is scored on: a split of its data, or two files.
struct TestSetOptions: ParsableArguments {
    @Option(help: ArgumentHelp("The part of the data: test (the default) or valid.", valueName: "name"))
    var split: String?

    @Option(help: ArgumentHelp("In place of a split: text, a sentence a line.", valueName: "file"))
    var source: String?

    @Option(help: ArgumentHelp("The translations of --source, line by line.", valueName: "file"))
    var reference: String?

    @Option(help: ArgumentHelp("Only this direction; may be repeated.", valueName: "src-tgt"))
    var direction: [String] = []

    @Flag(help: "Let --direction be between any two languages of the model, trained together or not.")
    var zeroShot = false

    @Option(parsing: .unconditional, help: ArgumentHelp("Only the first sentences of each direction.", valueName: "n"))
    var limit: Int?

    @OptionGroup var place: DataOptions

    /// Whether it is a whole split, in all directions that the model was trained for.
    var isWhole: Bool { source == nil && direction.isEmpty && limit == nil }

    /// - Throws: `CommandFailure` for options that do not go together.
    func check() throws {
        if let limit, limit < 1 { throw CommandFailure(.usage, "--limit must be at least 1, but is \(limit)") }
        // The text of the training split, which the scores compare with, is not kept.
        if let split, Split(rawValue: split).map({ $0 == .train }) ?? true {
            throw CommandFailure(.usage, "--split must be test or valid, but is \(split)")
        }
        guard source == nil && reference == nil || source != nil && reference != nil && split == nil && direction.count == 1
        else {
            throw CommandFailure(
                .usage, "--source and --reference must be given together, with one --direction and without --split")
        }
        guard !zeroShot || !direction.isEmpty else {
            throw CommandFailure(.usage, "--zero-shot is for a --direction: name one")
        }
    }

    /// Opens the text; `isFirst`, of all ranks, compares checksums and says what is left out.
    ///
    /// - Throws: `CommandFailure`, `DataError`.
    func open(_ trained: TrainedModel, of folder: String, isFirst: Bool) throws -> (ReferenceText, [Direction]) {
        if let source, let reference {
            let directions = try trained.directions(named: direction, untrained: zeroShot)
            let text = try AlignedText(source: source, target: reference, limit: limit ?? .max)
            guard !text.pairs.isEmpty else {
                throw CommandFailure(.data, "\(source) and \(reference): must hold sentences, a line each, but are empty")
            }
            return (.files(text), directions)
        }
        let split = split.flatMap(Split.init) ?? .test, corpus = try trained.corpus(of: folder, at: place.data)
        if isFirst { try corpus.verify(split) }
        let directions = try trained.available(direction, corpus, split, untrained: zeroShot) { if isFirst { warn($0) } }
        return (.split(corpus, split), directions)
    }
}
