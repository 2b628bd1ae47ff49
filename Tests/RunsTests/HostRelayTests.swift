import DataPipeline
import MixtureOfExperts
import Testing
import Training

@testable import Runs

@Suite struct HostRelayTests {
    /// Two hosts of four ranks save 15 % of what crosses, four of two 5 %, and rounded rows less.
    @Test(arguments: [
        (AutomaticChoice.auto, WireFormat.float32, 2, 4, true), (.auto, .bfloat16, 2, 4, false), (.auto, .float32, 4, 2, false),
        (.on, .float32, 4, 2, true), (.on, .bfloat16, 2, 4, true), (.off, .float32, 2, 4, false),
        // Nobody to pass rows on to.
        (.on, .float32, 8, 1, false), (.on, .float32, 1, 8, false),
    ])
    func rowsArePassedOnWhereThatSavesMuch(
        choice: AutomaticChoice, wire: WireFormat, hosts: Int, ranks: Int, expected: Bool
    ) throws {
        var configuration = RunConfiguration(data: DataConfiguration(format: .numerals, prepared: "/nowhere"))
        configuration.model.mixture = MixtureConfiguration(strata: [32])
        (configuration.parallel.hostRelay, configuration.parallel.wire) = (choice, wire)
        let layout = try ParallelLayout(ranks: 8, expertParallel: 8, mixture: configuration.model.mixture)
        let places = PlaceHosts((0..<8).map { $0 / ranks })
        #expect(places.places.count == hosts)
        #expect(configuration.passesOn(within: places, layout) == expected)
    }

    @Test func oneChoiceSavesNothing() throws {
        var configuration = RunConfiguration(data: DataConfiguration(format: .numerals, prepared: "/nowhere"))
        configuration.model.mixture = MixtureConfiguration(strata: [32])
        configuration.model.mixture?.topK = 1
        let layout = try ParallelLayout(ranks: 8, expertParallel: 8, mixture: configuration.model.mixture)
        #expect(!configuration.passesOn(within: PlaceHosts([0, 0, 0, 0, 1, 1, 1, 1]), layout))
    }
}
