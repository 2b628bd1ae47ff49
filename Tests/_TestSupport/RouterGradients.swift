import MixtureOfExperts
import TensorCore

/// The gradients of a gate's weights and losses with respect to its logits, by central differences.
public enum RouterGradients {
    /// What must stay as it is for the objective to be smooth.
    private struct Discrete: Equatable {
        let experts: [Int32]
        let kept: [Bool]
        let leading: [Int32]
    }

    /// Of 14 tokens at a gate that sees five experts after a stratum of two, as `configuration` says, but for its strata.
    public static func check(_ configuration: MixtureConfiguration, _ what: String) throws {
        let context = ComputeContext(), tokens = 14, visible = 5, lossScale: Float = 0.8
        var configuration = configuration
        configuration.strata = [2, visible]
        let router = StratifiedRouter(GateSite(name: "gate", configuration: configuration, stratum: 1, dim: 1))
        let rows = (0..<tokens).map { Int32($0 * 3) }
        let logits = context.tensor(normalValues(tokens * visible, seed: 4, scale: 1.5), rows: tokens, columns: visible)
        func decide() -> RoutingDecision {
            router.route(context, logits: logits, rows: rows, key: RandomKey(seed: 9), isTraining: true)
        }
        let decision = decide()
        // Where every token has its choices, some of them are dropped. Of fewer there may be none.
        if decision.experts.count >= tokens, decision.kept.contains(false) != (configuration.trainingCapacityFactor != nil) {
            throw Disagreement("\(what): \(decision.kept.count { !$0 }) choices dropped")
        }
        let dweights = normalValues(decision.experts.count, seed: 2)
        let gradient = router.backward(context, decision, dweights: dweights, lossScale: lossScale).logits
        let losses = configuration.losses.filter(\.isInUse)
        try CentralDifferences().check(gradient.elements, at: logits.buffer, what) {
            let decision = decide()
            let weighted = zip(decision.weights, dweights).reduce(0.0) { $0 + Double($1.0) * Double($1.1) }
            let auxiliary = zip(losses, router.losses(decision)).reduce(0.0) { $0 + Double($1.0.weight * $1.1.value) }
            return (
                weighted + Double(lossScale) * auxiliary,
                Discrete(experts: decision.experts, kept: decision.kept, leading: decision.leading)
            )
        }
    }
}
