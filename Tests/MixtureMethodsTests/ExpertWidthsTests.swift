import ConfigurationForms
import MixtureMethods
import MixtureOfExperts
import TensorCore
import Testing
import _TestSupport

/// Experts of different widths: how they are told, and blocks of them by differences and on several ranks.
@Suite(.hangLimit) struct ExpertWidthsTests {
    static func configuration(
        _ strata: [Int] = [2, 3], _ widths: [Int] = [4, 9, 3, 6, 12], capacity: Float? = nil
    ) -> MixtureConfiguration {
        var configuration = testedMixture(strata, capacity: capacity)
        configuration[ExpertWidths.self].widths = .list(widths)
        return configuration
    }

    private static func widths(_ ratios: [Float], total: Int, multiple: Int = 8, strata: [Int]? = nil) -> [Int]? {
        var sizes = ExpertWidths.Ratios()
        (sizes.ratios, sizes.total, sizes.multiple) = (ratios, total, multiple)
        var configuration = MixtureConfiguration(strata: strata ?? [ratios.count])
        configuration[ExpertWidths.self].widths = .ratios(sizes)
        return configuration.expertWidths
    }

    @Test func ratiosOfATotalAreRounded() {
        let arithmetic = (0..<8).map { Float(9 + 2 * $0) }, geometric = (0..<8).map { Float(1 << $0) }
        #expect(Self.widths(arithmetic, total: 16_384) == (0..<8).map { 1152 + 256 * $0 })
        #expect(Self.widths(geometric, total: 16_384) == [64, 128, 256, 512, 1032, 2056, 4112, 8224])
        #expect(Self.widths([1, 1, 1], total: 80) == [32, 24, 24], "what is left goes to the lower ids")
        #expect(Self.widths([1, 1, 1], total: 80, multiple: 1) == [27, 27, 26])
        #expect(Self.widths([1, 3], total: 4096, strata: [4, 4]) == [256, 256, 256, 256, 768, 768, 768, 768])
    }

    @Test func listsAreByExpertByStratumOrForAll() {
        #expect(Self.configuration().expertWidths == [4, 9, 3, 6, 12])
        #expect(Self.configuration([2, 3], [4, 8]).expertWidths == [4, 4, 8, 8, 8])
        #expect(Self.configuration([2, 3], [7]).expertWidths == [7, 7, 7, 7, 7])
        #expect(MixtureConfiguration(strata: [2, 3]).expertWidths == nil)
    }

    /// Widths 64, 128, 192, 256: two choices a token, and as many as pass thresholds.
    @Test func theMeanWidthIsReported() throws {
        let q: [[Float]] = [
            [0.50, 0.30, 0.15, 0.05], [0.22, 0.25, 0.29, 0.24], [0.05, 0.10, 0.05, 0.80], [0.60, 0.26, 0.08, 0.06],
        ]
        var configuration = Self.configuration([4], [64, 128, 192, 256])
        configuration[BestChoice.self] = BestChoice()
        configuration.routing = BestChoice.routing
        func mean() -> Float {
            configuration[ExpertWidths.self].figures(route(q, configuration)).first { $0.name == "expert_width_mean" }!.value
        }
        #expect(mean() == 272)
        configuration.capacityFactor = 1
        // Kept: 0·1 | 2 | 3 | none of 0 and 1.
        #expect(mean() == Float(64 + 128 + 192 + 256) / 4)
    }

    /// Equal widths are the block without the method, to the bit.
    @Test func equalWidthsChangeNothing() throws {
        let configurations = [testedMixture([2, 3]), Self.configuration([2, 3], [6], capacity: 1)]
        let results = try configurations.map { configuration in
            try alone { communicator in
                let tiny = try TinyBlock(configuration, group: communicator, dropout: 0.1), x = tiny.tokens(30, seed: 2)
                let result = try tiny.train(x, doutput: tiny.tokens(30, seed: 3), lossScale: 1)
                return (result.output, try tiny.store.gradients())
            }
        }
        #expect(results[0].0 == results[1].0 && results[0].1 == results[1].1)
    }

    @Test func gradientsAgreeWithDifferences() throws {
        for capacity in [nil, 1] as [Float?] {
            try BlockGradients.check(
                Self.configuration(capacity: capacity), dropout: 0.1, tolerance: 1e-2, "capacity \(capacity ?? 0)")
        }
    }

    @Test(arguments: BlockWorld.all) func manyRanksAreOne(world: BlockWorld) throws {
        let widths = (0..<world.strata.reduce(0, +)).map { 3 + $0 * 5 % 11 }
        try world.expectOneRank(Self.configuration(world.strata, widths, capacity: 1))
    }

    // MARK: configuration

    @Test func keys() throws {
        let list = try WrittenMixture.read(#"{"strata": [2, 2], "expert_widths": [8, 16]}"#)
        #expect(list.expertWidths == [8, 8, 16, 16] && list.additions == ["experts of widths 8 to 16"])
        let one = try WrittenMixture.read(#"{"strata": [2, 2], "expert_widths": 24}"#)
        #expect(one.expertWidths == [24, 24, 24, 24] && one.additions == ["experts of width 24"])
        let ratios = try WrittenMixture.read(
            #"{"strata": [2, 2], "expert_widths": {"ratios": [1, 3, 1, 3], "total": 64, "multiple": 4}}"#)
        #expect(ratios.expertWidths == [8, 24, 8, 24])
        for read in [list, one, ratios] { #expect(try WrittenMixture.isReadAgain(read)) }
        for (widths, problem) in [
            (
                "[8, 16, 8]",
                "moe.expert_widths must be one number, one for each of the 2 strata or one for each of the 4 experts"
            ),
            ("0", "moe.expert_widths must be an integer from 1"),
            (#"{"ratios": [1, 2, 3], "total": 64}"#, "moe.expert_widths.ratios must have a number for each of the 2 strata"),
            (
                #"{"ratios": [1, 2], "total": 65}"#,
                "moe.expert_widths.total must be a multiple of moe.expert_widths.multiple, 8"
            ),
            (#"{"ratios": [0.001, 2], "total": 64}"#, "moe.expert_widths.ratios must leave every expert a width"),
            (#"{"ratios": [1, 2]}"#, "moe.expert_widths.total is required"),
        ] {
            let found = WrittenMixture.problem("{\"strata\": [2, 2], \"expert_widths\": \(widths)}")
            #expect(found.contains(problem), "\(found)")
        }
    }
}
