/// Who chooses: how tokens and the experts that a gate sees come together.
public enum RoutingRule: String, CaseIterable, Sendable {
    /// Each token takes its best-scored experts, as long as they have room.
    case tokenChoice = "token_choice"
    /// Each expert takes the tokens that score it best, as many as its capacity ("Mixture-of-Experts with Expert Choice Routing",
    /// arXiv 2202.09368): loads are equal, and a token may be seen by any number of experts. In evaluation tokens choose, with
    /// the same weights: a translation must not depend on what it is batched with, nor on words that are still to come.
    case expertChoice = "expert_choice"
    /// Token t takes experts t and t + 1, counted round, whatever their scores: perfectly even loads, for benchmarks alone.
    case forcedBalanced = "forced_balanced"
}
