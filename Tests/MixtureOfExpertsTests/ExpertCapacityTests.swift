import MixtureOfExperts
import Testing

@Suite struct ExpertCapacityTests {
    @Test(
        arguments: [
            // factor × ceil(tokens / visible), rounded down.
            (tokens: 8, visible: 4, factor: 2, limit: 4), (9, 4, 2, 6), (10, 4, 1.25, 3), (10, 4, 1.5, 4), (1, 8, 2, 2),
            (1, 8, 0.5, 0), (0, 8, 2, 0), (17, 1, 1, 17), (3, 3, 1.9, 1), (1000, 10, 1.1, 110), (16, 16, 1, 1),
        ] as [(tokens: Int, visible: Int, factor: Float, limit: Int)])
    func limit(_ example: (tokens: Int, visible: Int, factor: Float, limit: Int)) {
        #expect(
            ExpertCapacity.limit(tokens: example.tokens, visible: example.visible, factor: example.factor) == example.limit)
    }

    @Test func noFactorNoLimit() { #expect(ExpertCapacity.limit(tokens: 100, visible: 4, factor: nil) == nil) }
}
