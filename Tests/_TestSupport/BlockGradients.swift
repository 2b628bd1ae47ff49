import MixtureOfExperts
import TensorCore

/// A block's gradients by central differences, with everything on that its configuration turns on in training.
public enum BlockGradients {
    /// What must stay as it is for the objective to be smooth.
    private struct Discrete: Equatable {
        let experts: [[Int32]]
        let kept: [[Bool]]
        let leading: [[Int32]]

        init(_ decisions: [RoutingDecision]) {
            experts = decisions.map(\.experts)
            kept = decisions.map(\.kept)
            leading = decisions.map(\.leading)
        }
    }

    /// Checks dx and the gradient of every parameter. The objective is a weighted sum of the outputs, and the losses: those of the
    /// configuration by their weights, and the figures of wrappers by `figureWeights`. Parameters whose names end in one of
    /// `withoutGradient` must have none.
    public static func check(
        _ configuration: MixtureConfiguration, dropout: Float, tolerance: Double = 4e-3,
        figureWeights: [String: Float] = [:], withoutGradient: [String] = [], _ what: String
    ) throws {
        try alone { communicator in
            let tiny = try TinyBlock(configuration, group: communicator, dropout: dropout)
            try tiny.avoidKinks()
            if configuration.strataOrder == .stacked {
                // Without LayerNorm in between, what an expert is given must be of moderate size itself.
                try tiny.store.forEachSlice { name, _, values, _ in
                    guard name.contains(".experts."), name.hasSuffix("fc2.weight") else { return }
                    for index in values.indices { values[index] *= 0.3 }
                }
            }
            let x = tiny.tokens(9, seed: 21), weights = tiny.tokens(9, seed: 22), lossScale: Float = 1.5
            let result = try tiny.train(x, doutput: weights, lossScale: lossScale)
            try tiny.store.handOnGradients(tiny.context, experts: communicator, partSize: communicator.size)
            if result.statistics.tokens == 0 {
                throw Disagreement("\(what): a group that is left out has no gradients to compare")
            }
            let losses = configuration.losses.filter(\.isInUse)
                .reduce(into: figureWeights) { $0[type(of: $1).figure] = $1.weight }
            func objective() throws -> (Double, Discrete) {
                let outcome = try tiny.forward(x)
                let output = zip(outcome.output.value.buffer, weights.buffer).reduce(0.0) { $0 + Double($1.0) * Double($1.1) }
                let auxiliary = try losses.reduce(0.0) { sum, loss in
                    guard let figure = outcome[loss.key] else { throw Disagreement("\(what): no figure \(loss.key)") }
                    return sum + Double(loss.value) * Double(figure)
                }
                return (output + Double(lossScale) * auxiliary, Discrete(outcome.decisions))
            }
            let differences = CentralDifferences(tolerance: tolerance)
            try differences.check(result.dx, at: x.buffer, "\(what): dx", objective: objective)
            try tiny.store.forEachSlice { name, _, values, gradients in
                if withoutGradient.contains(where: name.hasSuffix) {
                    guard gradients.allSatisfy({ $0 == 0 }) else { throw Disagreement("\(what): \(name) has a gradient") }
                } else {
                    try differences.check(Array(gradients), at: values, "\(what): \(name)", objective: objective)
                }
            }
        }
    }
}
