import Autograd
import DataPipeline
import Foundation
import MixtureMethods
import MixtureOfExperts
import TensorCore
import Testing
import TransformerModel
import _TestSupport

@testable import Evaluation

/// The counts of a whole model.
@Suite struct RoutingTallyTests {
    static func group(source: [Int], target: [Int], seed: UInt64) -> TokenGroup {
        func draw(_ lengths: [Int], _ key: UInt64) -> [Int32] {
            drawnTokens(lengths.reduce(0, +), of: 0..<20, seed: 10 * seed + key)
        }
        return TokenGroup(
            index: 0,
            batch: SentenceBatch(
                source: draw(source, 1), sourceSegments: Segments(lengths: source), targetInput: draw(target, 2),
                targetOutput: draw(target, 3), targetSegments: Segments(lengths: target)), directions: source.map { _ in 0 })
    }

    static let groups = [
        group(source: [5, 8], target: [4, 3], seed: 1), group(source: [9], target: [12], seed: 2), TokenGroup.empty(index: 2),
        group(source: [4, 6, 3], target: [2, 2, 5], seed: 3),
    ]

    /// Gates without weights find all experts alike: the lower ids are chosen, and every token passes both strata.
    @Test func gatesSetByHand() throws {
        try alone { rank in
            let model = try SearchModel.make(MixtureConfiguration(strata: [2, 3]), on: rank, vocabulary: 20, seed: 3)
            try model.store.forEachSlice { name, _, values, _ in
                guard name.contains(".gates.") else { return }
                for index in values.indices { values[index] = 0 }
            }
            var tally = RoutingTally(model.configuration, vocabulary: 20)
            try tally.add(Self.groups[0], model)
            #expect(tally.sentences == [2])
            #expect(tally.encoder.blocks.count == 1 && tally.decoder.blocks.count == 1)
            for (side, tokens) in [(tally.encoder, Int64(13)), (tally.decoder, 7)] {
                let block = side.blocks[0]
                #expect(block.strataPassed == side.counts.map { 2 * $0 })
                #expect(block.gates[0].first == [tokens, 0, 0, 0, 0] && block.gates[0].second == [0, tokens, 0, 0, 0])
                #expect(block.gates[1].first == [0, 0, tokens, 0, 0] && block.gates[1].second == [0, 0, 0, tokens, 0])
                for (earlier, later) in [(0, 2), (0, 3), (1, 2), (1, 3)] {
                    #expect(block.coActivation[earlier * 5 + later] == tokens)
                }
                #expect(block.coActivation.reduce(0, +) == 4 * tokens)
                for (gate, visible) in zip(block.gates, [5, 3]) {
                    // Capacity factor 2: each of two experts takes 2 ⌈T / V⌉ of T choices.
                    let limit = 2 * ((tokens + Int64(visible) - 1) / Int64(visible))
                    #expect(gate.dropped == [2 * max(0, tokens - limit)])
                    let mean = Double(gate.entropy[0]) * BlockTally.entropyUnit / Double(tokens)
                    #expect(abs(mean - log(Double(visible))) < 1e-6)
                }
            }
        }
    }

    @Test func agreesWithTheRequestedCapacity() throws {
        try alone { rank in
            var mixture = MixtureConfiguration(strata: [2, 1, 3])
            mixture.every = 1
            let model = try SearchModel.make(mixture, on: rank, vocabulary: 20, seed: 3)
            var tally = RoutingTally(model.configuration, vocabulary: 20)
            var capacity = RequestedCapacity(strata: mixture.strata)
            for group in Self.groups {
                try tally.add(group, model)
                try capacity.add(group, model)
            }
            for (side, statistics) in [(tally.encoder, capacity.encoder), (tally.decoder, capacity.decoder)] {
                #expect(side.blocks.reduce(0) { $0 + $1.strataPassed.reduce(0, +) } == Int64(statistics.strataPassed))
                #expect(side.tokens * Int64(side.blocks.count) == Int64(statistics.tokens))
                for gate in mixture.strata.indices {
                    let load = (0..<6).map { expert in
                        side.blocks.reduce(0) { $0 + Int($1.gates[gate].first[expert] + $1.gates[gate].second[expert]) }
                    }
                    #expect(load == statistics.load[gate])
                }
            }
        }
    }

    /// Ranks that share the groups find what one rank finds.
    @Test(arguments: [2, 3]) func groupsAddUpInAnyOrder(ranks: Int) throws {
        try alone { rank in
            let model = try SearchModel.make(MixtureConfiguration(strata: [2, 3]), on: rank, vocabulary: 20, seed: 3)
            var whole = RoutingTally(model.configuration, vocabulary: 20)
            for group in Self.groups { try whole.add(group, model) }
            var parts = [RoutingTally](repeating: RoutingTally(model.configuration, vocabulary: 20), count: ranks)
            for (index, group) in Self.groups.enumerated().reversed() { try parts[index % ranks].add(group, model) }
            var arrays: [[Int64]] = []
            for rank in 1..<ranks {
                var order = 0
                parts[rank].sum { array in
                    if order < arrays.count {
                        for index in array.indices { arrays[order][index] += array[index] }
                    } else {
                        arrays.append(array)
                    }
                    order += 1
                }
            }
            var next = 0
            parts[0].sum { array in
                for index in array.indices { array[index] += arrays[next][index] }
                next += 1
            }
            #expect(parts[0] == whole)
        }
    }

    /// Training keeps no decisions.
    @Test func onlyAPassThatAsksKeepsDecisions() throws {
        try alone { rank in
            let model = try SearchModel.make(MixtureConfiguration(strata: [2, 3]), on: rank, vocabulary: 20, seed: 3)
            let batch = Self.groups[0].batch
            for keeps in [false, true] {
                let reports = try model.reports(on: batch, keepingDecisions: keeps)
                #expect(reports.encoder.map(\.decisions.count) == [keeps ? 2 : 0])
                #expect(reports.decoder.map(\.decisions.count) == [keeps ? 2 : 0])
            }
            let loss = try model.loss(
                batch, on: Tape(model.context, recording: false), isTraining: true, key: RandomKey(seed: 0), smoothing: 0.1)
            #expect(loss.reports.map(\.decisions.count) == [0, 0])
        }
    }
}
