import Collectives
import DataPipeline
import Foundation
import MixtureOfExperts
import TensorCore
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
            "decoder.layers.1.moe has [2, 0] of the 2 experts of stratum 0 on its places, where 1 of each belong"
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

    /// Memory is counted for places that have as many experts as others, or one more.
    @Test func placesHaveAboutAsManyExperts() throws {
        try PlacementFile(
            expertParallel: 2,
            blocks: ["encoder.layers.1.moe": [[0, 2, 3, 4], [1, 5]], "decoder.layers.1.moe": [[0, 2, 3], [1, 4, 5]]]
        ).write(to: path)
        var configuration = Self.configuration([2, 4])
        configuration.parallel.placement = path
        let error = #expect(throws: RunError.self) {
            try configuration.placements(
                ParallelLayout(ranks: 2, expertParallel: nil, mixture: configuration.model.mixture))
        }
        #expect(
            error?.description.contains("has [3, 1] of the 4 experts of stratum 1 on its places, where 2 of each") == true)
        let copied = #expect(throws: RunError.self) {
            try configuration.placements(
                ParallelLayout(ranks: 4, expertParallel: 4, mixture: configuration.model.mixture))
        }
        #expect(copied?.description.hasPrefix("parallel.placement must be none where small strata have copies") == true)
    }

    /// The model of a run has its experts where the file says; where hosts have different files, no rank begins.
    @Test func aRunHasTheFilesPlaces() throws {
        var configuration = Self.configuration()
        (configuration.model.dim, configuration.model.ffnDim, configuration.model.heads) = (16, 32, 2)
        let other = ["encoder.layers.1.moe": [[1, 2], [0, 3, 4]], "decoder.layers.1.moe": [[1, 4], [0, 2, 3]]]
        let files = [Self.blocks, other].enumerated().map { number, blocks in
            (path: "\(folder.path)/\(number).json", file: PlacementFile(expertParallel: 2, blocks: blocks))
        }
        for (path, file) in files { try file.write(to: path) }
        func places(_ paths: [String]) throws -> [[[Int]]] {
            try SimulatedCluster.run(ranks: 2) { [configuration] world in
                var own = configuration
                own.parallel.placement = paths[world.rank]
                let run = try TrainingRun(own, vocabulary: 50, world: world, context: ComputeContext(threads: 1))
                return run.model.blocks.map(\.placement.placeOfExpert)
            }
        }
        let all = try places([files[0].path, files[0].path])
        #expect(all[0] == [[1, 0, 0, 1, 1], [0, 1, 1, 1, 0]] && all[1] == all[0])
        let error = #expect(throws: RunError.self) { try places([files[0].path, files[1].path]) }
        #expect(error?.description.contains(": must be the same on every host, but differs") == true)
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
