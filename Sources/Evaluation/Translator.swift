import Collectives
import DataPipeline
import Foundation
import TensorCore
import TransformerModel

/// Translates text with a model, or with several as an ensemble.
///
/// Sentences of about one length make a batch, and each thread has batches of its own; few sentences share the threads, and so
/// do all where experts are spread over ranks. None of this changes a translation.
public final class Translator {
    public let models: [TranslationModel]
    public let tokenizer: Tokenizer
    public let search: any Search
    /// How scores of a single model are moved away from those of its weak pass; nil: they are not.
    public let contrast: Contrast?
    /// Source tokens of a batch, over all its sentences.
    public let batchTokens: Int
    public static let defaultBatchTokens = 1536
    /// Longer sentences are cut: attention's memory grows with the square.
    public static let longestSource = 1024
    /// The ranks that the models' experts are spread over; nil: all are on this rank.
    private let expertGroup: (any Communicator)?
    /// Memory that threads have used, for the next batches.
    private let idleContexts = IdleContexts()

    /// The models have the tokenizer's vocabulary; `contrast` is for one of them alone, with experts. Where `expertGroup` has
    /// several ranks every translation is collective over it: each rank translates sentences of its own, or none.
    public init(
        models: [TranslationModel], tokenizer: Tokenizer, search: any Search, contrast: Contrast? = nil,
        batchTokens: Int = Translator.defaultBatchTokens, expertGroup: (any Communicator)? = nil
    ) {
        precondition(!models.isEmpty && batchTokens >= 1 && (contrast == nil || models.count == 1))
        self.contrast = contrast
        self.models = models
        self.tokenizer = tokenizer
        self.search = search
        self.batchTokens = batchTokens
        self.expertGroup = expertGroup.flatMap { $0.size > 1 ? $0 : nil }
    }

    public convenience init(
        model: TranslationModel, tokenizer: Tokenizer, search: any Search, contrast: Contrast? = nil
    ) {
        self.init(models: [model], tokenizer: tokenizer, search: search, contrast: contrast)
    }

    /// One translation for each text, in order; an empty text for an empty one. `progress` is told how many are done.
    ///
    /// The target language is one of the tokenizer's.
    public func translate(_ texts: [String], to language: String, progress: (Int) -> Void = { _ in }) throws -> [String] {
        let tokens = texts.map { Array(tokenizer.encode($0).prefix(Self.longestSource)) }
        return try translations(of: tokens, firstNumber: 0, to: language, progress: progress)
            .map { $0.first.map { tokenizer.decode($0.tokens) } ?? "" }
    }

    /// The translations of each sentence, best first; none of one without tokens. Sentences are numbered from `firstNumber` on.
    public func translations(
        of sentences: [[Int32]], firstNumber: Int, to language: String, progress: (Int) -> Void = { _ in }
    ) throws -> [[Translation]] {
        guard let languageToken = tokenizer.languageToken(language) else {
            preconditionFailure("\(language) is not a language of this model")
        }
        let vocabulary = SearchVocabulary(
            start: languageToken, endOfSentence: tokenizer.endOfSentence,
            forbidden: tokenizer.languages.compactMap { tokenizer.languageToken($0) })
        let batches = batches(of: sentences), empty = sentences.count - batches.reduce(0) { $0 + $1.count }
        let outcome = Outcome(sentences: sentences.count, done: empty)
        func found(_ batch: [Int], _ context: ComputeContext?) throws -> [[Translation]] {
            try translations(
                scorer(context), batch.map { [languageToken] + sentences[$0] + [tokenizer.endOfSentence] },
                numbers: batch.map { firstNumber + $0 }, vocabulary: vocabulary)
        }
        let pool = models[0].context.pool
        if let expertGroup {
            for index in 0..<(try expertGroup.allReduce(batches.count, .maximum)) {
                let batch = index < batches.count ? batches[index] : []
                // After an error this rank is out of step: it takes part in nothing more.
                outcome.add(.success(try found(batch, nil)), of: batch, progress)
            }
        } else if batches.count < pool.threads {
            for batch in batches { outcome.add(Result { try found(batch, nil) }, of: batch, progress) }
        } else {
            pool.parallelFor(batches.count) { index in
                let context = idleContexts.take()
                outcome.add(Result { try found(batches[index], context) }, of: batches[index], progress)
                idleContexts.giveBack(context)
            }
        }
        return try outcome.result()
    }

    private func translations(
        _ scorer: any NextTokenScorer, _ sources: [[Int32]], numbers: [Int], vocabulary: SearchVocabulary
    ) throws -> [[Translation]] {
        guard let expertGroup else {
            return try search.translations(scorer, sources, numbers: numbers, vocabulary: vocabulary)
        }
        let lockstep = LockstepScorer(scorer, group: expertGroup)
        let found = try search.translations(lockstep, sources, numbers: numbers, vocabulary: vocabulary)
        try lockstep.finishBatch()
        return found
    }

    /// The sentences with tokens, by batch, the longest first: what is left for one thread at the end is short.
    private func batches(of sentences: [[Int32]]) -> [[Int]] {
        let order = sentences.indices.filter { !sentences[$0].isEmpty }
            .sorted { (-sentences[$0].count, $0) < (-sentences[$1].count, $1) }
        var batches: [[Int]] = [], tokens = 0
        for index in order {
            let length = sentences[index].count + 2
            if batches.isEmpty || tokens + length > batchTokens {
                batches.append([])
                tokens = 0
            }
            batches[batches.count - 1].append(index)
            tokens += length
        }
        return batches
    }

    private func scorer(_ context: ComputeContext?) -> any NextTokenScorer {
        if let contrast { return ContrastScorer(models[0], contrast, context: context ?? models[0].context) }
        let scorers = models.map { ModelScorer($0, context: context ?? models[0].context) }
        return scorers.count == 1 ? scorers[0] : EnsembleScorer(scorers)
    }

    /// Contexts of one thread each.
    private final class IdleContexts {
        private let lock = NSLock()
        private var contexts: [ComputeContext] = []

        func take() -> ComputeContext { lock.withLock { contexts.popLast() } ?? ComputeContext() }

        func giveBack(_ context: ComputeContext) { lock.withLock { contexts.append(context) } }
    }

    /// What the threads have found so far.
    private final class Outcome {
        private let lock = NSLock()
        private var translations: [[Translation]]
        private var done: Int
        private var error: (any Error)?

        init(sentences: Int, done: Int) {
            translations = [[Translation]](repeating: [], count: sentences)
            self.done = done
        }

        func add(_ found: Result<[[Translation]], any Error>, of batch: [Int], _ progress: (Int) -> Void) {
            lock.lock()
            defer { lock.unlock() }
            done += batch.count
            switch found {
            case .success(let found): for (index, found) in zip(batch, found) { translations[index] = found }
            case .failure(let failure): error = error ?? failure
            }
            progress(done)
        }

        func result() throws -> [[Translation]] {
            if let error { throw error }
            return translations
        }
    }
}
