import Autograd
import ConfigurationForms
import MixtureOfExperts
import TensorCore

/// Balancing by bias ("Auxiliary-Loss-Free Load Balancing Strategy for Mixture-of-Experts", arXiv 2408.15664): tokens choose by p +
/// bias, while weights stay those of p; after an update each expert's bias moves against its load. Parameters
/// `<block>.gates.{s}.selection_bias`, which have no gradient.
public struct BiasBalancing: SelectionMethod {
    /// What a bias changes by after an update; 0: there are none.
    public var rate: Float = 0

    public init() {}

    public static var fields: [ConfigurationField<Self>] {
        [.init("bias_balancing_rate", \.rate, .number(.atLeast(0)), isWritten: { $0.rate != 0 })]
    }

    public func validate(_ configuration: MixtureConfiguration, _ path: String, _ problems: ConfigurationProblems) {
        guard rate > 0 else { return }
        problems.require(
            configuration.rule.readsSelection, "\(path).bias_balancing_rate", "\(path).routing",
            text: "must be 0 with \(path).routing: \(configuration.routing), for it balances what tokens choose, but is \(rate)"
        )
    }

    public func addition(to configuration: MixtureConfiguration) -> String? { rate > 0 ? "bias balancing" : nil }

    public var learnsFromLoads: Bool { rate > 0 }

    public func adjustment(of gate: GateSite, store: ParameterStore) -> (any SelectionAdjustment)? {
        rate > 0 ? SelectionBias(gate, rate: rate, store: store) : nil
    }
}

/// The biases of the experts that one gate sees, [V].
private struct SelectionBias: SelectionAdjustment {
    let bias: Parameter
    let rate: Float

    init(_ gate: GateSite, rate: Float, store: ParameterStore) {
        self.rate = rate
        bias = store.add(
            Parameter(
                vectors: ["\(gate.name).selection_bias"], countEach: gate.visible.count, initializer: .constant(0)))
    }

    func adjust(_ selection: Tensor, _ gate: GateSite) {
        for token in 0..<selection.rows {
            let row = selection.row(token)
            for expert in 0..<selection.columns { row[expert] += bias.value[0, expert] }
        }
    }

    /// Up where an expert was chosen less often than the mean of those that the gate sees, down where more often.
    ///
    /// Choices that exceeded a capacity count: without them a crowded expert would hide how crowded it is, and one below the
    /// mean could be pushed down further.
    func update(chosen: ArraySlice<Int>) {
        guard bias.isTrained else { return }
        let total = chosen.reduce(0, +)
        for (index, count) in chosen.enumerated() {
            let excess = count * chosen.count - total
            bias.value[0, index] -= Float(excess.signum()) * rate
        }
    }
}
