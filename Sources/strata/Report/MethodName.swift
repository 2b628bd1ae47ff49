import MixtureOfExperts
import TransformerModel

extension ModelConfiguration {
    /// What the paper calls such a model: dense, Switch, vanilla MoE, SMoE-4-4, and what is added to it.
    var methodName: String {
        guard let mixture else { return "dense" }
        var name = "SMoE-" + mixture.strata.map(String.init).joined(separator: "-")
        if mixture.strata.count == 1 {
            name = mixture.topK == 1 ? "Switch (\(mixture.experts))" : "vanilla MoE (\(mixture.experts))"
        } else if mixture.topK == 1 {
            name += ", top-1"
        }
        return mixture.expertOutputMasking > 0 ? name + " + EOM" : name
    }
}
