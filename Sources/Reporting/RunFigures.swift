import Evaluation

/// All that a report says of one run.
public struct RunFigures: Sendable {
    /// Unique among the runs reported.
    public var name: String
    /// Such as `dense` or `SMoE-4-4`.
    public var method: String
    /// Parameters of the model; nil where the vocabulary is not known.
    public var parameters: Int?
    /// Operations of a token's way forward through the model, under uniform routing.
    public var flopsPerToken: Double?
    /// The experts, by global id, that each gate of a block sees, a gate a stratum; empty in a dense model.
    public var gates: [Range<Int>]
    /// What figures of blocks are called where their name does not say it, by name.
    public var figureTitles: [String: String]
    public var plannedUpdates: Int
    /// Directions that were trained, such as `eng-cat`.
    public var directions: [String]
    /// Every key's path and value.
    public var configuration: [(path: String, value: String)]
    public var history: TrainingHistory
    public var evaluations: [EvaluationResult]
    public var analysis: RoutingAnalysis?
    /// Files that are there but could not be read, and why.
    public var problems: [String]

    public init(
        name: String, method: String, parameters: Int?, flopsPerToken: Double?, gates: [Range<Int>],
        figureTitles: [String: String] = [:], plannedUpdates: Int,
        directions: [String], configuration: [(path: String, value: String)], history: TrainingHistory,
        evaluations: [EvaluationResult] = [], analysis: RoutingAnalysis? = nil, problems: [String] = []
    ) {
        self.name = name
        self.method = method
        self.parameters = parameters
        self.flopsPerToken = flopsPerToken
        self.gates = gates
        self.figureTitles = figureTitles
        self.plannedUpdates = plannedUpdates
        self.directions = directions
        self.configuration = configuration
        self.history = history
        self.evaluations = evaluations
        self.analysis = analysis
        self.problems = problems
    }

    var isDense: Bool { gates.isEmpty }

    func evaluation(_ split: String) -> EvaluationResult? { evaluations.first { $0.split == split } }
}
