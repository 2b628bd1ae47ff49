import ConfigurationForms
import MixtureOfExperts

/// Stacking, a baseline of the paper: plain mixtures one after another, without LayerNorm and residual between them. h_0 =
/// LayerNorm(x), h_s = mixture s of h_{s−1}, and x + h_L is the result; every token passes all of them, and a gate sees its own
/// stratum alone.
public struct Stacking: OrderingMethod {
    public var isStacked = false

    public init() {}

    public static var fields: [ConfigurationField<Self>] {
        [.init("stacked", \.isStacked, .boolean, isWritten: { $0.isStacked })]
    }

    public var strataOrder: StrataOrder? { isStacked ? .stacked : nil }

    public func name(strata: [Int]) -> String {
        Set(strata).count == 1
            ? "stacking \(strata.count) × \(strata[0])" : "stacking \(strata.map(String.init).joined(separator: "-"))"
    }
}
