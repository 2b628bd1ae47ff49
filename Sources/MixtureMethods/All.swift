import MixtureOfExperts

/// The methods, a file each; the only place that names more than one. Reports name them in this order; of those that surround the
/// experts the first is innermost, and of the routing rules the first is the default.
public let allMethods: [any MixtureMethod] = [
    TokenChoice(),
    ExpertOutputMasking(),
    MultiHead(),
    GatingDropout(),
    SharedExperts(),
    ConditionalRouting(),
    ExpertChoice(),
    ForcedBalanced(),
    ThresholdChoice(),
    TopAnyChoice(),
    PoolAdaptation(),
    Stacking(),
    LoadBalancing(),
    BiasBalancing(),
    RouterZLoss(),
    RouterEntropy(),
    ExpertWidths(),
    ExpertSum(),
    FactorisedExperts(),
    Adapters(),
    WidthPenalty(),
    SigmoidScores(),
    GroupLimitedChoice(),
    TwoLayerGate(),
]

extension MixtureConfiguration {
    /// A mixture that may use every method of the library.
    public init(strata: [Int]) { self.init(strata: strata, methods: allMethods) }
}
