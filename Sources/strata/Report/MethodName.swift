import MixtureOfExperts
import TransformerModel

extension ModelConfiguration {
    /// What the paper calls such a model: dense, Switch, vanilla MoE, SMoE-4-4, stacking 2 × 4, and what is added to it.
    var methodName: String {
        guard let mixture else { return "dense" }
        let sizes = mixture.strata, isSwitch = mixture.topK == 1
        var name: String
        if sizes.count == 1 {
            name = isSwitch ? "Switch (\(mixture.experts))" : "vanilla MoE (\(mixture.experts))"
        } else {
            let joined = sizes.map(String.init).joined(separator: "-")
            let stacking = Set(sizes).count == 1 ? "stacking \(sizes.count) × \(sizes[0])" : "stacking \(joined)"
            name = mixture.stacked ? stacking : "SMoE-\(joined)"
            if isSwitch { name += ", top-1" }
        }
        if mixture.expertOutputMasking > 0 { name += " + EOM" }
        if mixture.conditionalRouting != nil { name += " + CMR" }
        return name
    }
}
