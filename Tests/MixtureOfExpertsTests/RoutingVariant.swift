import MixtureOfExperts

/// One of the routing options beyond the paper, turned on; `all` but gating dropout.
struct RoutingVariant: Sendable {
    let name: String
    private let change: @Sendable (inout MixtureConfiguration) -> Void

    static let all = [
        RoutingVariant(name: "router z-loss") { $0.routerZLoss = 0.5 },
        RoutingVariant(name: "bias balancing") { ($0.biasBalancingRate, $0.secondExpert) = (0.1, .best) },
        RoutingVariant(name: "bias balancing, top 1") { ($0.biasBalancingRate, $0.topK) = (0.1, 1) },
        RoutingVariant(name: "expert choice") { $0.routing = .expertChoice },
        RoutingVariant(name: "batch-prioritised") { ($0.batchPrioritized, $0.capacityFactor) = (true, 0.7) },
        RoutingVariant(name: "shared experts") { $0.sharedExperts = 2 },
        RoutingVariant(name: "shared experts, conditional") {
            ($0.sharedExperts, $0.conditionalRouting) = (1, ConditionalRouting())
        },
        RoutingVariant(name: "forced balanced") { $0.routing = .forcedBalanced },
    ]

    /// With a probability that lets a test say which of its token groups are left out.
    static func gatingDropout(_ probability: Float) -> RoutingVariant {
        RoutingVariant(name: "gating dropout \(probability)") { $0.gatingDropout = probability }
    }

    func configuration(strata: [Int]) -> MixtureConfiguration {
        var configuration = MixtureConfiguration(strata: strata)
        configuration.capacityFactor = 1
        configuration.auxiliaryLossWeight = 1
        change(&configuration)
        return configuration
    }
}
