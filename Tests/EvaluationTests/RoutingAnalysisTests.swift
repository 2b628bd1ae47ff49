import DataPipeline
import Foundation
import MixtureMethods
import MixtureOfExperts
import TensorCore
import Testing
import TransformerModel

@testable import Evaluation

@Suite struct RoutingAnalysisTests {
    private static let direction = Direction(source: "eng", target: "cat")
    private static let vocabulary = RoutingAnalysis.Vocabulary(
        pieces: (0..<60).map { $0 == 3 ? "say,\"\"" : "▁\($0)" }, isControl: (0..<60).map { $0 < 2 })

    /// Strata 1-1 without second experts. The encoder's only block saw tokens 0 … 59; token t occurred `counts[t]` times and
    /// passed `strataPassed[t]` strata.
    private static func tally(counts: [Int64], strataPassed: [Int64]) -> RoutingTally {
        var mixture = MixtureConfiguration(strata: [1, 1])
        mixture.topK = 1
        var configuration = ModelConfiguration()
        configuration.encoderLayers = 2
        configuration.decoderLayers = 2
        configuration.mixture = mixture
        var tally = RoutingTally(configuration, vocabulary: 60)
        tally.sentences = [4]
        tally.encoder.counts = counts
        tally.encoder.blocks[0].strataPassed = strataPassed
        return tally
    }

    private static func analysis(
        counts: [Int64], strataPassed: [Int64], frequencies: [Int64], minimumCount: Int = 1
    ) -> RoutingAnalysis {
        var analysis = RoutingAnalysis(
            step: 7, text: "test", strata: [1, 1], topK: 1, capacityFactor: nil, frequencySource: .training,
            minimumCount: minimumCount)
        let frequencies = TokenFrequencies(counts: frequencies)
        analysis.append(
            direction, tally(counts: counts, strataPassed: strataPassed), every: 2, vocabulary: vocabulary,
            frequencies: (frequencies, frequencies))
        return analysis
    }

    /// The example that readers of the format are tested with.
    @Test func theExampleIsReadAndWrittenAsItIs() throws {
        let file = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
            .appendingPathComponent("Fixtures/routing-analysis/analysis.json")
        let data = try Data(contentsOf: file)
        let analysis = try JSONDecoder().decode(RoutingAnalysis.self, from: data)
        let written = try JSONSerialization.jsonObject(with: JSONEncoder().encode(analysis)) as? NSDictionary
        #expect(try written == JSONSerialization.jsonObject(with: data) as? NSDictionary)
        for (load, drops) in zip(analysis.expertLoad, analysis.drops) {
            #expect(load.first.reduce(0, +) == load.tokens)
            #expect(load.first.reduce(0, +) + load.second.reduce(0, +) == drops.choices)
        }
        for table in analysis.csvFiles { #expect(table.text.hasSuffix("\n")) }
    }

    @Test func capacityByDirectionAndBlock() {
        var counts = [Int64](repeating: 0, count: 60), strataPassed = counts
        (counts[1], counts[5], counts[9]) = (4, 10, 2)
        (strataPassed[1], strataPassed[5], strataPassed[9]) = (8, 10, 3)
        var analysis = Self.analysis(counts: counts, strataPassed: strataPassed, frequencies: counts)
        #expect(analysis.rcByDirection.map(\.encoder) == [21.0 / 16])
        #expect(analysis.rcByDirection.map(\.sourceTokens) == [16] && analysis.rcByDirection.map(\.sentences) == [4])
        #expect(analysis.rcByBlock.map(\.side) == [.encoder, .decoder] && analysis.rcByBlock.map(\.layer) == [1, 1])
        #expect(analysis.rcByBlock.map(\.strataPassed) == [21, 0] && analysis.rcByBlock.map(\.rc) == [21.0 / 16, 0])
        strataPassed[9] = 4
        analysis.append(
            Self.direction.reversed, Self.tally(counts: counts, strataPassed: strataPassed), every: 2,
            vocabulary: Self.vocabulary,
            frequencies: (TokenFrequencies(counts: counts), TokenFrequencies(counts: counts)))
        #expect(analysis.average.encoder == (21.0 / 16 + 22.0 / 16) / 2, "directions count once")
    }

    @Test func theTokensOfHighestAndLowestCapacity() throws {
        var counts = [Int64](repeating: 0, count: 60), strataPassed = counts
        for token in 0..<60 {
            counts[token] = 10
            strataPassed[token] = 10 + Int64(token % 11)
        }
        (counts[59], strataPassed[59]) = (1, 2)  // rare
        (counts[21], strataPassed[21]) = (20, 40)  // as high as 10, 32, 43, 54, and more often
        let analysis = Self.analysis(counts: counts, strataPassed: strataPassed, frequencies: counts, minimumCount: 2)
        let extremes = try #require(analysis.tokenExtremes.first)
        #expect(extremes.highest.count == 25 && extremes.lowest.count == 25)
        #expect(extremes.highest.prefix(6).map(\.token) == [21, 10, 32, 43, 54, 9])
        #expect(extremes.highest[0].rc == 2 && extremes.highest[5].rc == 1.9)
        // 0 and 1 are control tokens; 11, 22, 33, … pass one stratum.
        #expect(extremes.lowest.prefix(6).map(\.token) == [11, 22, 33, 44, 55, 12])
        #expect(!(extremes.highest + extremes.lowest).contains { $0.token == 59 }, "too rare to say")
        #expect(extremes.highest[0].piece == "▁21" && extremes.highest[0].frequencyRank == 1)
    }

    @Test func ranksOfFrequency() {
        let frequencies = TokenFrequencies(counts: [5, 0, 9, 5, 1, 0])
        #expect(frequencies.ranks == [2, 5, 1, 2, 4, 5])
    }

    @Test func tablesAreCommaSeparated() {
        var counts = [Int64](repeating: 0, count: 60), strataPassed = counts
        (counts[3], strataPassed[3]) = (2, 3)
        let frequencies = TokenFrequencies(counts: counts.map { $0 * 7 })
        let lines = RoutingAnalysis.tokenLines(
            Self.direction, Self.tally(counts: counts, strataPassed: strataPassed), every: 2, vocabulary: Self.vocabulary,
            frequencies: (frequencies, frequencies))
        #expect(lines == "eng-cat,encoder,1,3,\"say,\"\"\"\"\",2,3,1.5,14,1\n")
        let analysis = Self.analysis(counts: counts, strataPassed: strataPassed, frequencies: counts)
        for (name, text) in analysis.csvFiles {
            let rows = text.split(separator: "\n").map { $0.split(separator: ",", omittingEmptySubsequences: false).count }
            #expect(Set(rows).count == 1, "\(name): every row has the header's columns")
        }
        #expect(
            analysis.csvFiles.map(\.name) == [
                "rc_by_direction.csv", "rc_by_block.csv", "expert_load.csv", "co_activation.csv", "gate_pairs.csv",
                "gate_entropy.csv",
                "drops.csv",
            ])
        // Two gates a block: the first sees two experts, the second one.
        #expect(analysis.csvFiles[2].text.split(separator: "\n").count == 1 + 2 * 3)
    }
}
