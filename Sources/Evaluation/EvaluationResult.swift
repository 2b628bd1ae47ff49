/// What `strata evaluate` found on a split: `--json`, and `evaluation-<split>.json` of the run folder.
public struct EvaluationResult: Codable, Equatable, Sendable {
    /// Scores of one direction, or the mean over directions, each counted once.
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
        public var encoderRequestedCapacity: Double?
        public var decoderRequestedCapacity: Double?
        /// Further metrics by name, such as TER; nil for none.
        public var further: [String: Double]?

        public init(
            bleu: Double, chrf: Double, exact: Double, sentences: Int? = nil, encoderRequestedCapacity: Double? = nil,
            decoderRequestedCapacity: Double? = nil
        ) {
            self.bleu = bleu
            self.chrf = chrf
            self.exact = exact
            self.sentences = sentences
            self.encoderRequestedCapacity = encoderRequestedCapacity
            self.decoderRequestedCapacity = decoderRequestedCapacity
        }

        enum CodingKeys: String, CodingKey {
            case bleu, chrf, exact, sentences, further
            case encoderRequestedCapacity = "rounds_encoder"
            case decoderRequestedCapacity = "rounds_decoder"
        }
    }

    /// The mean at another update of the same run, by the same search.
    public struct Earlier: Codable, Equatable, Sendable {
        public var update: Int
        public var average: Scores
    }

    public var split: String
    /// Updates that the model was trained for.
    public var update: Int
    /// True where the moving average of the parameters was evaluated; nil: they themselves.
    public var ofAverage: Bool?
    public var beam: Int
    /// The length penalty of beam search; 1 in results of before it was kept.
    public var lengthPenalty: Float
    /// How scores of tokens were moved away from those of a weak pass; nil: they were not.
    public var contrast: String?
    public var average: Scores
    /// Scores of each direction, by `src-tgt`.
    public var directions: [String: Scores]
    /// sacreBLEU's account of how BLEU was computed, of the mean and where directions do not say otherwise.
    public var signature: String
    /// BLEU's tokens by direction, as signatures name them; nil in results of before there were several.
    public var tokenizers: [String: String]?
    /// The mean BLEU of the directions of each tokenizer, where there are several: `average` has that of one alone.
    public var bleuByTokenizer: [String: Double]?
    /// Those of further metrics, by name; nil for none.
    public var furtherSignatures: [String: String]?
    /// The comparison with another translation of the text; nil without one.
    public var comparison: EvaluationComparison?
    /// The signature of chrF; nil in results of before it was kept.
    public var chrfSignature: String?
    /// Evaluations of the run that this one replaced, by update; only in the run folder.
    public var earlier: [Earlier]?

    public init(
        split: String, update: Int, beam: Int, lengthPenalty: Float, average: Scores, directions: [String: Scores],
        signature: String, chrfSignature: String?
    ) {
        self.split = split
        self.update = update
        self.beam = beam
        self.lengthPenalty = lengthPenalty
        self.average = average
        self.directions = directions
        self.signature = signature
        self.chrfSignature = chrfSignature
    }

    enum CodingKeys: String, CodingKey {
        case split, update, beam, contrast, average, directions, signature, tokenizers, comparison, earlier
        case ofAverage = "of_average"
        case bleuByTokenizer = "bleu_by_tokenizer"
        case furtherSignatures = "further_signatures"
        case lengthPenalty = "length_penalty"
        case chrfSignature = "chrf_signature"
    }

    /// This one, with the means of the one that it replaces and of those before; of one update only the newest counts.
    public func replacing(_ previous: EvaluationResult) -> EvaluationResult {
        var copy = self
        guard previous.split == split, previous.beam == beam, previous.lengthPenalty == lengthPenalty,
            previous.ofAverage == ofAverage, previous.directions.keys == directions.keys,
            previous.averagedTokenizer == averagedTokenizer
        else { return copy }
        let known = (previous.earlier ?? []) + [Earlier(update: previous.update, average: previous.average)]
        copy.earlier = known.filter { $0.update != update }.sorted { $0.update < $1.update }
        return copy
    }

    /// The tokens of the mean BLEU, as its signature names them.
    public var averagedTokenizer: String? {
        signature.split(separator: "|").first { $0.hasPrefix("tok:") }.map { String($0.dropFirst("tok:".count)) }
    }

    /// The mean at every update that was evaluated, in order.
    public var means: [Earlier] {
        ((earlier ?? []) + [Earlier(update: update, average: average)]).sorted { $0.update < $1.update }
    }
}

extension EvaluationResult {
    public init(from decoder: any Decoder) throws {
        let result = try decoder.container(keyedBy: CodingKeys.self)
        self.init(
            split: try result.decode(String.self, forKey: .split), update: try result.decode(Int.self, forKey: .update),
            beam: try result.decode(Int.self, forKey: .beam),
            lengthPenalty: try result.decodeIfPresent(Float.self, forKey: .lengthPenalty) ?? 1,
            average: try result.decode(Scores.self, forKey: .average),
            directions: try result.decode([String: Scores].self, forKey: .directions),
            signature: try result.decode(String.self, forKey: .signature),
            chrfSignature: try result.decodeIfPresent(String.self, forKey: .chrfSignature))
        ofAverage = try result.decodeIfPresent(Bool.self, forKey: .ofAverage)
        tokenizers = try result.decodeIfPresent([String: String].self, forKey: .tokenizers)
        bleuByTokenizer = try result.decodeIfPresent([String: Double].self, forKey: .bleuByTokenizer)
        furtherSignatures = try result.decodeIfPresent([String: String].self, forKey: .furtherSignatures)
        comparison = try result.decodeIfPresent(EvaluationComparison.self, forKey: .comparison)
        earlier = try result.decodeIfPresent([Earlier].self, forKey: .earlier)
    }
}

extension EvaluationResult.Scores {
    /// The plain mean of directions' scores; RC over those that have it.
    public static func mean(_ scores: [Self]) -> Self {
        func mean(_ value: (Self) -> Double?) -> Double? {
            let values = scores.compactMap(value)
            return values.isEmpty ? nil : values.reduce(0, +) / Double(values.count)
        }
        var result = Self(
            bleu: mean(\.bleu) ?? 0, chrf: mean(\.chrf) ?? 0, exact: mean(\.exact) ?? 0,
            encoderRequestedCapacity: mean(\.encoderRequestedCapacity),
            decoderRequestedCapacity: mean(\.decoderRequestedCapacity))
        result.further = scores.first?.further.map {
            Dictionary(
                uniqueKeysWithValues: $0.keys.map { name in
                    (name, mean { $0.further?[name] } ?? 0)
                })
        }
        return result
    }
}
