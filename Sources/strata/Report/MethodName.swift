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
        return ([name] + mixture.additions).joined(separator: " + ")
    }
}

extension MixtureConfiguration {
    /// What makes it another method than its strata and top-k say.
    fileprivate var additions: [String] {
        var names: [String] = []
        if expertOutputMasking > 0 { names.append("EOM") }
        if conditionalRouting != nil { names.append("CMR") }
        switch routing {
        case .tokenChoice: break
        case .expertChoice: names.append("expert choice")
        case .forcedBalanced: names.append("forced balance")
        }
        if sharedExperts > 0 { names.append("shared experts (\(sharedExperts))") }
        if batchPrioritized { names.append("batch priority") }
        if biasBalancingRate > 0 { names.append("bias balancing") }
        if routerZLoss > 0 { names.append("z-loss") }
        if gatingDropout > 0 { names.append("gating dropout") }
        return names
    }
}
