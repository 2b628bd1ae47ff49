import Collectives
import ModelSurgery
import _TestSupport
import _TinyRuns

/// The loss on held-out text of a model on so many ranks.
func heldOutLoss(of model: StoredModel, ranks: Int) throws -> Double {
    try SimulatedCluster.run(ranks: ranks) { world in
        var plan = TinyPlan(strata: [])
        plan.model = model.configuration.model
        let run = try TinyRun(world, plan)
        try model.parameters.load(into: run.model.store, path: model.path)
        return try run.validate().validLoss
    }[0]
}
