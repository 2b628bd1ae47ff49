import MixtureOfExperts
import TransformerModel

extension ModelConfiguration {
    /// What the paper calls such a model: dense, Switch, vanilla MoE, SMoE-4-4, and what methods add to it.
    var methodName: String {
        guard let mixture else { return "dense" }
        let additions = mixture.methods.compactMap { $0.addition(to: mixture) }
        let priority = mixture.capacityPriority == .tokenOrder ? [] : ["batch priority"]
        return ([mixture.baseName] + additions + priority).joined(separator: " + ")
    }
}

extension MixtureConfiguration {
    fileprivate var baseName: String {
        let isSwitch = rule.readsTopK && topK == 1
        let choices = rule.readsTopK && topK > 2 ? ", top-\(topK)" : ""
        guard strata.count > 1 else { return isSwitch ? "Switch (\(strataText))" : "vanilla MoE (\(strataText))\(choices)" }
        let ordering = methods(for: (any OrderingMethod).self).first { $0.strataOrder != nil }
        let name = ordering?.name(strata: strata) ?? "SMoE-\(strataText)"
        return isSwitch ? "\(name), top-1" : name + choices
    }
}
