/// How much training draws from each corpus, from an update on.
public struct CorpusStage: Equatable, Sendable {
    /// Updates before the stage begins.
    public var after = 0
    /// Factors on the corpora's pairs, by name; 1 where none is given, 0: nothing is drawn from it.
    public var weights: [String: Double] = [:]

    public init(after: Int = 0, weights: [String: Double] = [:]) { (self.after, self.weights) = (after, weights) }

    func weight(_ corpus: String) -> Double { weights[corpus] ?? 1 }
}

extension DataConfiguration {
    /// The name of the text in `path`, beside those of `corpora`.
    public static let mainCorpus = "main"

    /// The names of all corpora, that of `path` first.
    public var corpusNames: [String] { [Self.mainCorpus] + corpora.keys.sorted() }

    /// All stages of training, from update 0 on.
    public var allStages: [CorpusStage] { [CorpusStage(weights: weights)] + stages }
}
