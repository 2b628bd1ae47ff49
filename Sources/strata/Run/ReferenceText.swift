import DataPipeline
import Evaluation
import Training

/// Text with its translation: a split of the prepared data, or two files.
enum ReferenceText {
    case split(PreparedCorpus, Split)
    case files(AlignedText)

    /// As reports name it.
    var name: String {
        switch self {
        case let .split(_, split): split.rawValue
        case .files: "files"
        }
    }

    /// As a line of progress names it.
    var title: String {
        switch self {
        case let .split(_, split): "split \(split.rawValue)"
        case let .files(text): "\(text.source) and \(text.target)"
        }
    }

    /// Line by line, verbatim.
    ///
    /// - Throws: `DataError.prepared` if the prepared text is not what was written.
    func sentences(_ direction: Direction) throws -> (sources: [String], references: [String]) {
        switch self {
        case let .split(corpus, split): try corpus.references(direction, split)
        case let .files(text): (text.pairs.map(\.source), text.pairs.map(\.target))
        }
    }

    /// The token groups of one direction, under the token budget of training where that admits every sentence. Of files, longer
    /// ones are an error, or left out, as they always are of a split.
    func groups(
        _ direction: Direction, _ trained: TrainedModel, limit: Int?, leavingOutLonger: Bool = false
    ) throws -> AnyRandomAccessCollection<TokenGroup> {
        let budget = trained.configuration.training.tokensPerGroup
        switch self {
        case let .split(corpus, split):
            return AnyRandomAccessCollection(
                try EvaluationGroups(
                    corpus: corpus, split: split, directions: [direction],
                    tokensPerGroup: max(budget, corpus.manifest.maximumLength + 2), limit: limit ?? .max))
        case let .files(text):
            return AnyRandomAccessCollection(
                try text.groups(
                    direction, tokenizer: trained.tokenizer,
                    tokensPerGroup: max(budget, trained.configuration.data.maximumLength + 2),
                    leavingOutLonger: leavingOutLonger))
        }
    }
}
