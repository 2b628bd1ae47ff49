import DataPipeline
import Foundation
import MixtureOfExperts
import Testing
import Training
import _TestSupport

@testable import Runs

@Suite struct PlacementFileTests {
    private let folder = TemporaryFolder()
    private var path: String { "\(folder.path)/p.json" }

    private static func configuration(_ strata: [Int] = [2, 3]) -> RunConfiguration {
        var configuration = RunConfiguration(data: DataConfiguration(format: .numerals, prepared: "p"))
        (configuration.model.encoderLayers, configuration.model.decoderLayers) = (2, 2)
        configuration.model.mixture = MixtureConfiguration(strata: strata)
        return configuration
    }

    private static let blocks = [
        "encoder.layers.1.moe": [[1, 2], [0, 3, 4]], "decoder.layers.1.moe": [[0, 4], [1, 2, 3]],
    ]

    private func places(_ file: PlacementFile, ranks: Int = 2) throws -> [String: [Int]] {
        try file.write(to: path)
        var configuration = Self.configuration()
        configuration.parallel.placement = path
        return try configuration.placements(
            ParallelLayout(ranks: ranks, expertParallel: nil, mixture: configuration.model.mixture))
    }

    @Test func whatIsWrittenIsRead() throws {
        let file = PlacementFile(expertParallel: 2, blocks: Self.blocks)
        #expect(
            try places(file) == ["encoder.layers.1.moe": [1, 0, 0, 1, 1], "decoder.layers.1.moe": [0, 1, 1, 1, 0]])
        #expect(try PlacementFile(path: path) == file)
    }

    /// A run that goes on with other ranks.
    @Test func groupsOfAnotherSizeHaveTheUsualPlaces() throws {
        #expect(try places(PlacementFile(expertParallel: 2, blocks: Self.blocks), ranks: 1) == [:])
        #expect(try places(PlacementFile(expertParallel: 3, blocks: Self.blocks)) == [:])
    }

    @Test(arguments: [
        (["encoder.layers.1.moe": [[0], [1]]], "its blocks are"),
        (
            ["encoder.layers.1.moe": [[1, 2], [0, 3]], "decoder.layers.1.moe": [[0, 4], [1, 2, 3]]],
            "encoder.layers.1.moe has not each of 5 experts once on 2 places"
        ),
        (
            ["encoder.layers.1.moe": [[1, 2], [0, 3, 4]], "decoder.layers.1.moe": [[0, 1], [2, 3, 4]]],
            "decoder.layers.1.moe has places without an expert of stratum 0"
        ),
        (
            ["encoder.layers.1.moe": [[1, 2], [0, 3, 4]], "decoder.layers.1.moe": [[0, 4], [1], [2, 3]]],
            "decoder.layers.1.moe has not each of 5 experts once on 2 places"
        ),
    ])
    func anotherModelsAreRefused(blocks: [String: [[Int]]], detail: String) throws {
        let error = #expect(throws: RunError.self) { try places(PlacementFile(expertParallel: 2, blocks: blocks)) }
        let text = error?.description ?? ""
        #expect(text.hasPrefix("\(path): must place the model's experts, but ") && text.contains(detail), "\(text)")
        #expect(text.hasSuffix("make it with strata plan --placement of a run of this model"))
    }

    @Test(arguments: ["", "[]", "{\"version\": 2, \"expert_parallel\": 2, \"blocks\": {}}", "{\"version\": 1}", "\u{0}"])
    func otherFilesAreRefused(text: String) throws {
        try Data(text.utf8).write(to: URL(fileURLWithPath: path))
        let error = #expect(throws: RunError.self) { _ = try PlacementFile(path: path) }
        #expect(error?.description.hasPrefix("\(path): must be a placement of version 1") == true)
    }

    @Test func poolsHaveNone() throws {
        let configuration = try RunConfiguration.parse(
            """
            model: {moe: {strata: [8], routing: top_any, capacity_factor: none, expert_pool: {initial: [4], minimum: 2}}}
            data: {format: numerals, prepared: p}
            parallel: {placement: p.json}
            """, source: "a.yaml")
        let error = #expect(throws: RunError.self) {
            try configuration.placements(
                ParallelLayout(ranks: 2, expertParallel: nil, mixture: configuration.model.mixture))
        }
        #expect(error?.description.hasPrefix("parallel.placement must be none where experts come and go") == true)
    }
}
