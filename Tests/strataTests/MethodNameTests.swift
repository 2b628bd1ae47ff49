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
}
