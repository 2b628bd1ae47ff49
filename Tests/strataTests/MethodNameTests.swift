import MixtureOfExperts
import Testing
import TransformerModel

@testable import strata

@Suite struct MethodNameTests {
    private func name(_ strata: [Int]?, topK: Int = 2, masking: Float = 0) -> String {
        var model = ModelConfiguration()
        model.mixture = strata.map(MixtureConfiguration.init(strata:))
        model.mixture?.topK = topK
        model.mixture?.expertOutputMasking = masking
        return model.methodName
    }

    @Test func modelsAreCalledAsInThePaper() {
        #expect(name(nil) == "dense")
        #expect(name([8]) == "vanilla MoE (8)" && name([8], topK: 1) == "Switch (8)")
        #expect(name([4, 12]) == "SMoE-4-12" && name([2, 2, 2, 2], topK: 1) == "SMoE-2-2-2-2, top-1")
        #expect(name([8], masking: 0.1) == "vanilla MoE (8) + EOM")
        var model = ModelConfiguration()
        model.mixture = MixtureConfiguration(strata: [4, 4])
        model.mixture?.stacked = true
        #expect(model.methodName == "stacking 2 × 4")
        model.mixture?.strata = [4, 12]
        #expect(model.methodName == "stacking 4-12")
        model.mixture?.stacked = false
        model.mixture?.conditionalRouting = ConditionalRouting()
        #expect(model.methodName == "SMoE-4-12 + CMR")
    }

    @Test func whatIsAddedToAModelIsNamed() {
        func name(_ change: (inout MixtureConfiguration) -> Void) -> String {
            var model = ModelConfiguration(), mixture = MixtureConfiguration(strata: [8])
            change(&mixture)
            model.mixture = mixture
            return model.methodName
        }
        #expect(name { $0.routing = .expertChoice } == "vanilla MoE (8) + expert choice")
        #expect(name { $0.routing = .forcedBalanced } == "vanilla MoE (8) + forced balance")
        #expect(name { $0.sharedExperts = 2 } == "vanilla MoE (8) + shared experts (2)")
        #expect(name { $0.batchPrioritized = true } == "vanilla MoE (8) + batch priority")
        #expect(name { $0.biasBalancingRate = 0.001 } == "vanilla MoE (8) + bias balancing")
        #expect(name { $0.routerZLoss = 0.001 } == "vanilla MoE (8) + z-loss")
        #expect(name { $0.gatingDropout = 0.2 } == "vanilla MoE (8) + gating dropout")
        #expect(
            name {
                ($0.topK, $0.expertOutputMasking, $0.gatingDropout) = (1, 0.1, 0.2)
            } == "Switch (8) + EOM + gating dropout")
    }
}
