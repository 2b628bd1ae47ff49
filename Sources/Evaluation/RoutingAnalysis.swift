/// How a model's gates routed a text, with the reference translation given: `analysis.json` of `strata analyze`.
///
/// Routing is that of evaluation: the best second expert, and no capacity but for `evaluation_capacity_factor`. Rows are ordered
/// by direction as trained, then encoder before decoder, then layer, then gate. Layers, gates (strata), experts count from 0, as
/// in parameter names; experts bear global ids. Counts are exact; they do not depend on the number of ranks.
public struct RoutingAnalysis: Codable, Equatable, Sendable {
    /// The half of the model that a block stands in.
    public enum Side: String, Codable, CaseIterable, Sendable {
        case encoder, decoder
    }

    /// Whose counts `frequency` is of.
    public enum FrequencySource: String, Codable, Sendable {
        /// The training text of the direction, on the block's side.
        case training
        /// The analysed text: the training text was not there.
        case analysed
    }

    /// 1.
    public var version = 1
    /// Updates that the model was trained for.
    public var step: Int
    /// What was analysed: `test`, `valid`, `train`, or `files`.
    public var text: String
    /// Experts of each stratum; of the encoder's blocks alone where the decoder's have others.
    public var strata: [Int]
    /// Experts of each stratum of the decoder's blocks; nil: as the encoder's.
    public var decoderStrata: [Int]?
    /// Experts that see a token at one gate: 1 or 2.
    public var topK: Int
    /// The capacity factor of training that `drops` applies; nil: training is dropless.
    public var capacityFactor: Double?
    public var frequencySource: FrequencySource
    /// Tokens that occur fewer times in the analysed text of a direction are not among `tokenExtremes`.
    public var minimumCount: Int
    /// RC over all directions, each counted once, as in `strata evaluate`.
    public var average: Sides
    /// Figure 2 of the paper.
    public var rcByDirection: [DirectionCapacity]
    /// Figure 4.
    public var rcByBlock: [BlockCapacity]
    /// Figure 3: every token is in rc_by_token.csv.
    public var tokenExtremes: [TokenExtremes]
    public var expertLoad: [GateLoad]
    /// a and b: tokens that one gate sent to a, by whichever choice, and a later gate to b. A token counts once for each two gates
    /// that it passed, with each of their choices.
    public var coActivation: [ExpertPairs]
    /// a < b: tokens that one gate sent to both, once for each gate. nil in analyses of before they were kept.
    public var gatePairs: [ExpertPairs]?
    public var gateEntropy: [GateEntropy]
    public var drops: [GateDrops]
    /// The experts of each block that exist; nil where they neither come nor go while training.
    public var existingExperts: [BlockExperts]?

    public init(
        step: Int, text: String, strata: [Int], decoderStrata: [Int]? = nil, topK: Int, capacityFactor: Double?,
        frequencySource: FrequencySource,
        minimumCount: Int, average: Sides = Sides(encoder: 0, decoder: 0), rcByDirection: [DirectionCapacity] = [],
        rcByBlock: [BlockCapacity] = [], tokenExtremes: [TokenExtremes] = [], expertLoad: [GateLoad] = [],
        coActivation: [ExpertPairs] = [], gatePairs: [ExpertPairs] = [], gateEntropy: [GateEntropy] = [],
        drops: [GateDrops] = []
    ) {
        self.step = step
        self.text = text
        self.strata = strata
        self.decoderStrata = decoderStrata
        self.topK = topK
        self.capacityFactor = capacityFactor
        self.frequencySource = frequencySource
        self.minimumCount = minimumCount
        self.average = average
        self.rcByDirection = rcByDirection
        self.rcByBlock = rcByBlock
        self.tokenExtremes = tokenExtremes
        self.expertLoad = expertLoad
        self.coActivation = coActivation
        self.gatePairs = gatePairs
        self.gateEntropy = gateEntropy
        self.drops = drops
    }

    /// Experts of each stratum of a side's blocks.
    public func strata(of side: Side) -> [Int] { side == .decoder ? decoderStrata ?? strata : strata }

    enum CodingKeys: String, CodingKey {
        case version, step, text, strata, average, drops
        case decoderStrata = "decoder_strata"
        case topK = "top_k"
        case capacityFactor = "capacity_factor"
        case frequencySource = "frequency_source"
        case minimumCount = "minimum_count"
        case rcByDirection = "rc_by_direction"
        case rcByBlock = "rc_by_block"
        case tokenExtremes = "token_extremes"
        case expertLoad = "expert_load"
        case coActivation = "co_activation"
        case gatePairs = "gate_pairs"
        case gateEntropy = "gate_entropy"
        case existingExperts = "existing_experts"
    }
}
