import MixtureMethods
import MixtureOfExperts
import Testing
import TransformerModel

@testable import strata

@Suite struct MethodNameTests {
    private func name(_ strata: [Int]?, topK: Int = 2, masking: Float = 0) -> String {
        var model = ModelConfiguration()
        model.mixture = strata.map { MixtureConfiguration(strata: $0) }
        model.mixture?.topK = topK
        model.mixture?[ExpertOutputMasking.self].probability = masking
        return model.methodName
    }

    @Test func modelsAreCalledAsInThePaper() {
        #expect(name(nil) == "dense")
        #expect(name([8]) == "vanilla MoE (8)" && name([8], topK: 1) == "Switch (8)")
        #expect(name([8], topK: 3) == "vanilla MoE (8), top-3" && name([4, 4], topK: 4) == "SMoE-4-4, top-4")
        #expect(name([4, 12]) == "SMoE-4-12" && name([2, 2, 2, 2], topK: 1) == "SMoE-2-2-2-2, top-1")
        #expect(name([8], masking: 0.1) == "vanilla MoE (8) + EOM")
        var model = ModelConfiguration()
        model.mixture = MixtureConfiguration(strata: [4, 4])
        model.mixture?[Stacking.self].isStacked = true
        #expect(model.methodName == "stacking 2 × 4")
        model.mixture?.strata = [4, 12]
        #expect(model.methodName == "stacking 4-12")
        model.mixture?[Stacking.self].isStacked = false
        model.mixture?[ConditionalRouting.self].settings = .init()
        #expect(model.methodName == "SMoE-4-12 + CMR")
    }

    @Test func whatIsAddedToAModelIsNamed() {
        func name(_ change: (inout MixtureConfiguration) -> Void) -> String {
            var model = ModelConfiguration(), mixture = MixtureConfiguration(strata: [8])
            change(&mixture)
            model.mixture = mixture
            return model.methodName
        }
        #expect(name { $0.routing = ExpertChoice.routing } == "vanilla MoE (8) + expert choice")
        #expect(name { $0.routing = ForcedBalanced.routing } == "vanilla MoE (8) + forced balance")
        #expect(name { $0[SharedExperts.self].count = 2 } == "vanilla MoE (8) + shared experts (2)")
        #expect(name { $0.capacityPriority = .firstChoiceProbability } == "vanilla MoE (8) + batch priority")
        #expect(name { $0[BiasBalancing.self].rate = 0.001 } == "vanilla MoE (8) + bias balancing")
        #expect(name { $0[RouterZLoss.self].weight = 0.001 } == "vanilla MoE (8) + z-loss")
        #expect(name { $0[GatingDropout.self].probability = 0.2 } == "vanilla MoE (8) + gating dropout")
        #expect(
            name {
                $0.topK = 1
                $0[ExpertOutputMasking.self].probability = 0.1
                $0[GatingDropout.self].probability = 0.2
            } == "Switch (8) + EOM + gating dropout")
    }
}
