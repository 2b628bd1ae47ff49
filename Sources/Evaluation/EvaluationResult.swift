/// What `strata evaluate` found on a split: `--json`, and `evaluation-<split>.json` of the run folder.
public struct EvaluationResult: Codable, Equatable, Sendable {
    /// Of one direction, or the mean over directions, each counted once.
    public struct Scores: Codable, Equatable, Sendable {
        /// sacreBLEU's, 0 to 100.
        public var bleu: Double
        /// chrF2, 0 to 100.
        public var chrf: Double
        /// Translations equal to the reference, in percent.
        public var exact: Double
        /// nil in the mean.
        public var sentences: Int?
        /// Requested capacity; nil in a dense model.
        public var roundsEncoder: Double?
        public var roundsDecoder: Double?

        public init(
            bleu: Double, chrf: Double, exact: Double, sentences: Int? = nil, roundsEncoder: Double? = nil,
            roundsDecoder: Double? = nil
        ) {
            self.bleu = bleu
            self.chrf = chrf
            self.exact = exact
            self.sentences = sentences
            self.roundsEncoder = roundsEncoder
            self.roundsDecoder = roundsDecoder
        }

        enum CodingKeys: String, CodingKey {
            case bleu, chrf, exact, sentences
            case roundsEncoder = "rounds_encoder"
            case roundsDecoder = "rounds_decoder"
        }
    }

    /// The mean at another update of the same run, with the same beam.
    public struct Earlier: Codable, Equatable, Sendable {
        public var update: Int
        public var average: Scores
    }

    public var split: String
    /// Updates that the model was trained for.
    public var update: Int
    public var beam: Int
    public var average: Scores
    /// By `src-tgt`.
    public var directions: [String: Scores]
    /// sacreBLEU's account of how BLEU was computed.
    public var signature: String
    /// Evaluations of the run that this one replaced, by update; only in the run folder.
    public var earlier: [Earlier]?

    public init(
        split: String, update: Int, beam: Int, average: Scores, directions: [String: Scores], signature: String
    ) {
        self.split = split
        self.update = update
        self.beam = beam
        self.average = average
        self.directions = directions
        self.signature = signature
    }

    /// This one, with the means of the one that it replaces and of those before; of one update only the newest counts.
    public func replacing(_ previous: EvaluationResult) -> EvaluationResult {
        var copy = self
        guard previous.split == split, previous.beam == beam, previous.directions.keys == directions.keys else { return copy }
        let known = (previous.earlier ?? []) + [Earlier(update: previous.update, average: previous.average)]
        copy.earlier = known.filter { $0.update != update }.sorted { $0.update < $1.update }
        return copy
    }

    /// The mean at every update that was evaluated, in order.
    public var means: [Earlier] {
        ((earlier ?? []) + [Earlier(update: update, average: average)]).sorted { $0.update < $1.update }
    }
}
