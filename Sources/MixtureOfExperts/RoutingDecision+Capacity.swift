extension RoutingDecision {
    /// The choices that the capacity of training would keep, in the order that it gives tokens; all where experts choose, or
    /// training is dropless.
    public func kept(inTrainingOf configuration: MixtureConfiguration) -> [Bool] {
        guard configuration.routing != .expertChoice else { return experts.map { $0 >= 0 } }
        var choices = RouterChoices(tokens: tokens, count: self.choices)
        choices.experts = experts
        return ExpertCapacity.keep(
            experts, choices: self.choices, visible: visible,
            limit: ExpertCapacity.limit(tokens: tokens, visible: visible.count, factor: configuration.capacityFactor),
            order: configuration.batchPrioritized
                ? StratifiedRouter.priorities(choices, probabilities, visible) : Array(0..<tokens))
    }
}
