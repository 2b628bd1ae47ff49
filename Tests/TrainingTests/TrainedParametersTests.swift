import Testing
import Training

/// Which parameters are trained, by their names.
@Suite struct TrainedParametersTests {
    private static let names = [
        "embedding.weight", "encoder.layers.0.self_attn.q.weight", "encoder.layers.1.moe.norms.0.weight",
        "encoder.layers.1.moe.gates.0.weight", "encoder.layers.1.moe.scales.1", "encoder.layers.1.moe.experts.0.fc1.weight",
        "encoder.layers.1.moe.experts.10.adapter.up.weight", "encoder.layers.1.moe.shared_experts.0.fc1.weight",
    ]

    private static func places(_ trained: TrainedParameters) -> [Int] { names.indices.filter { trained.contains(names[$0]) } }

    @Test func words() {
        #expect(Self.places(.all) == Array(Self.names.indices))
        #expect(Self.places(.experts) == [3, 4, 5, 6])
        #expect(Self.places(.adapters) == [3, 4, 6])
    }

    @Test(arguments: [
        ("*", [0, 1, 2, 3, 4, 5, 6, 7]), ("embedding.weight", [0]), ("embedding", []), ("*.q.*", [1]),
        ("*weight", [0, 1, 2, 3, 5, 6, 7]),
        ("*.experts.*.fc1.*", [5]), ("encoder*norm*weight", [2]), ("**.moe.**", [2, 3, 4, 5, 6, 7]), ("", []), ("*.1", [4]),
        ("*experts.1*", [6]), ("*experts.1*0*adapter*", [6]), ("*experts.1*00*", []),
    ])
    func patterns(pattern: String, places: [Int]) {
        #expect(Self.places(.matching([pattern])) == places)
    }

    @Test func patternsThatFitNothingAreFound() {
        let trained = TrainedParameters.matching(["*.gates.*", "*.gate.*", "decoder.*"])
        #expect(trained.idlePatterns(among: Self.names) == ["*.gate.*", "decoder.*"])
        #expect(TrainedParameters.adapters.idlePatterns(among: []) == [])
    }
}
