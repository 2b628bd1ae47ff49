/// Two translations of one text compared: whether their scores differ by more than chance.
public struct EvaluationComparison: Codable, Equatable, Sendable {
    /// One metric of one direction.
    public struct Figure: Codable, Equatable, Sendable {
        public var metric: String
        /// The score of the translation that is evaluated; `against` is that of the one it is compared with.
        public var score: Double
        public var against: Double
        public var bootstrap: SignificanceResult
        public var randomization: SignificanceResult
        /// sacreBLEU's accounts of metric and test.
        public var bootstrapSignature: String
        public var randomizationSignature: String

        public init(
            metric: String, score: Double, against: Double, bootstrap: SignificanceResult, randomization: SignificanceResult,
            bootstrapSignature: String, randomizationSignature: String
        ) {
            self.metric = metric
            self.score = score
            self.against = against
            self.bootstrap = bootstrap
            self.randomization = randomization
            self.bootstrapSignature = bootstrapSignature
            self.randomizationSignature = randomizationSignature
        }

        enum CodingKeys: String, CodingKey {
            case metric, score, against, bootstrap, randomization
            case bootstrapSignature = "bootstrap_signature"
            case randomizationSignature = "randomization_signature"
        }
    }

    /// The run, export or file of the other translation.
    public var against: String
    /// Updates that the other model was trained for; nil of a file.
    public var update: Int?
    /// Figures of each direction, by `src-tgt`.
    public var directions: [String: [Figure]]

    public init(against: String, update: Int?, directions: [String: [Figure]]) {
        self.against = against
        self.update = update
        self.directions = directions
    }
}
