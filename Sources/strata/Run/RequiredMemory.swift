import Foundation
import Planning
import Reporting
import Runs
import TensorCore

/// Refuses a model that this machine has no room for, before memory is taken. `movesWhileComputing`: whether messages do.
///
/// - Throws: `CommandFailure` if what a rank holds of the model is more than the machine's memory, or with its token groups'
///   activations, which are an estimate, more than twice that; `PlacementError` if the ranks cannot be laid out as configured.
func requireMemory(
    _ configuration: RunConfiguration, vocabulary: Int, ranks: Int, movesWhileComputing: Bool = false
) throws {
    let model = try ModelPlan(configuration.model, vocabulary: vocabulary, trained: configuration.training.trained)
    let plan = try RankPlan(model, configuration, ranks: ranks, movesWhileComputing: movesWhileComputing)
    let held = plan.memory.parameters + plan.memory.gradients + plan.memory.optimizerState
    let besides = max(plan.memory.activations, plan.memory.remaking ?? 0)
    let present = Double(ProcessInfo.processInfo.physicalMemory), wanted = Double(held) + Double(besides)
    guard Double(held) > present || wanted > 2 * present else { return }
    let turns = plan.groupsInTurns > 1 ? ", set parallel.interleave to off" : ""
    throw CommandFailure(
        .usage,
        "a rank must fit into the machine's memory, \(NumberText.mebibytes(Int(clamped: present))) MiB, but takes about "
            + "\(NumberText.mebibytes(Int(clamped: wanted))) MiB: choose a smaller model or lower "
            + "training.tokens_per_group\(turns), or start more ranks on more machines; strata plan shows what takes how much")
}
