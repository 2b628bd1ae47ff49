import DataPipeline
import Evaluation
import Training

/// The text that an analysis runs over: a split of the prepared data, or two files.
enum AnalyzedText {
    case split(PreparedCorpus, Split)
    case files(AlignedText)

    /// The name in `analysis.json`.
    var name: String {
        switch self {
        case let .split(_, split): split.rawValue
        case .files: "files"
        }
    }

    /// The token groups of one direction, under the token budget of training where that admits every sentence.
    func groups(_ direction: Direction, _ trained: TrainedModel, limit: Int?) throws -> AnyRandomAccessCollection<TokenGroup> {
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
                    tokensPerGroup: max(budget, trained.configuration.data.maximumLength + 2)))
        }
    }
}
