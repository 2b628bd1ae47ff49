import Foundation
import Testing
import _TestSupport

/// `strata train` with the routing options that a plain run leaves alone: the number of ranks changes nothing either.
@Suite(.serialized, .hangLimit) struct RoutingOptionTests {
    enum Variant: CaseIterable, Sendable {
        case stackedConditionalBalanced, expertChoice, thresholdsOfSubTokens, topAny

        var options: [String] {
            let values =
                switch self {
                case .stackedConditionalBalanced:
                    [
                        "stacked=true", "conditional_routing={budget: 0.3, weight: 0.5}", "expert_output_masking=0.1",
                        "bias_balancing_rate=0.01", "second_expert=best", "router_z_loss=0.1", "batch_prioritized=true",
                        "shared_experts=1",
                    ]
                case .expertChoice: ["routing=expert_choice", "gating_dropout=0.3"]
                case .thresholdsOfSubTokens:
                    [
                        "routing=top_p", "top_p=[0.5, 0.8]", "capacity_priority=own_probability", "heads=2",
                        "expert_widths={ratios: [1, 3], total: 128}", "width_penalty={width: to_go}", "router_entropy=0.01",
                    ]
                case .topAny: ["routing=top_any", "top_any={scale: 5, gate_gradient: normalized}", "aux_loss_weight=0"]
                }
            // Sub-tokens are of a width that is a multiple of 16.
            let width = self == .thresholdsOfSubTokens ? ["--set", "model.dim=32"] : []
            return values.flatMap { ["--set", "model.moe.\($0)"] } + width
        }
    }

    private static func train(_ variant: Variant, _ launch: Launch) throws -> [Double] {
        let folder = CommandLineFolder()
        let outcome = try launch.strata(
            ["train", TinyCommandLine.configuration, "--out", "\(folder.path)/run"] + variant.options)
        #expect(outcome.status == 0, "\(outcome)")
        return try folder.losses("run")
    }

    @Test(arguments: Variant.allCases) func lossesAreThoseOfOneRank(variant: Variant) throws {
        let alone = try Self.train(variant, .alone)
        #expect(alone.count == TinyCommandLine.updates)
        #expect(try alone != TinyCommandLine.runs.losses("run"), "the options must change something")
        for launch in [Launch.mpirun(2), .mpirun(4)] {
            let losses = try Self.train(variant, launch)
            #expect(losses.count == alone.count)
            for (update, (a, b)) in zip(alone, losses).enumerated() {
                #expect(abs(a - b) <= (update == 0 ? 1e-6 : 1e-4) * a, "\(launch), update \(update + 1): \(a), \(b)")
            }
        }
    }
}
