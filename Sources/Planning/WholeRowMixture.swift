import MixtureOfExperts

/// The mixture of whole rows that one of sub-tokens is to be compared with: with as many choices at a gate it has as many
/// operations and as many parameters ("MH-MoE: Multi-Head Mixture-of-Experts", arXiv 2411.16205, (8) and (9) the other way round,
/// for any number of strata). Biases and gates are not counted.
struct WholeRowMixture: Encodable, Equatable {
    /// Hidden width of its experts.
    let ffnDim: Double
    /// Their number, in all strata.
    let experts: Double

    /// Of `heads` sub-tokens a row of width `dim`, whose `experts` experts have hidden layers of `width` and `matrices` matrices each.
    /// A sub-token has `choices` of them, over all the strata that it passes. Head and merge layer are 2 d² a row.
    init(dim: Int, heads: Int, width: Double, experts: Int, choices: Double, matrices: Int = 2) {
        let layers = 2 * Double(dim) / Double(matrices)
        ffnDim = width + layers / choices
        self.experts = (Double(experts) * width / Double(heads) + layers) / ffnDim
    }

    /// nil for a model whose rows pass the strata whole, or whose sides have other strata.
    init?(_ plan: ModelPlan) {
        let model = plan.configuration
        guard let mixture = model.mixture, mixture.rowsPerToken > 1, mixture.decoderStrata == nil,
            let choices = plan.expertsPerToken
        else { return nil }
        let widths = mixture.expertWidths ?? [Int](repeating: model.ffnDim, count: mixture.experts)
        self.init(
            dim: model.dim, heads: mixture.rowsPerToken, width: Double(widths.reduce(0, +)) / Double(widths.count),
            experts: mixture.experts, choices: choices / Double(mixture.rowsPerToken))
    }
}
