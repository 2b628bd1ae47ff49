import Collectives
import DataPipeline
import MixtureMethods
import MixtureOfExperts
import TensorCore
import Testing
import TransformerModel
import _TestSupport

@testable import Evaluation

@Suite struct RequestedCapacityTests {
    private static func group(source: [Int], target: [Int], seed: UInt64) -> TokenGroup {
        func draw(_ lengths: [Int], _ key: UInt64) -> [Int32] {
            drawnTokens(lengths.reduce(0, +), of: 0..<20, seed: 10 * seed + key)
        }
        return TokenGroup(
            index: 0,
            batch: SentenceBatch(
                source: draw(source, 1), sourceSegments: Segments(lengths: source), targetInput: draw(target, 2),
                targetOutput: draw(target, 3), targetSegments: Segments(lengths: target)), directions: source.map { _ in 0 })
    }

    @Test func countsEveryTokenInEveryBlock() throws {
        try alone { rank in
            var mixture = MixtureConfiguration(strata: [2, 2])
            mixture.every = 1
            // In training this would drop; here nothing is.
            mixture.capacityFactor = 0.5
            let model = try SearchModel.make(mixture, on: rank, vocabulary: 20, seed: 3)
            var capacity = RequestedCapacity(strata: [2, 2])
            #expect(capacity.encoder.requestedCapacity == 0)
            try capacity.add(Self.group(source: [5, 8], target: [4, 3], seed: 1), model)
            // Two blocks on each side.
            #expect(capacity.encoder.tokens == 26 && capacity.decoder.tokens == 14)
            #expect(capacity.encoder.dropped == 0 && capacity.decoder.dropped == 0)
            for side in [capacity.encoder, capacity.decoder] {
                #expect(side.strataPassed >= side.tokens && side.strataPassed <= 2 * side.tokens)
                #expect(side.choices == 2 * side.strataPassed)
                #expect(side.load.map { $0.reduce(0, +) } == [2 * side.tokens, 2 * (side.strataPassed - side.tokens)])
                // The second gate sees the second stratum alone.
                #expect(side.load[1][0] == 0 && side.load[1][1] == 0)
            }
            #expect(
                capacity.encoder.requestedCapacity > 1 || capacity.decoder.requestedCapacity > 1, "somebody must ask for more")
        }
    }

    @Test func groupsAddUp() throws {
        try alone { rank in
            let model = try SearchModel.make(MixtureConfiguration(strata: [2, 3]), on: rank, vocabulary: 20, seed: 3)
            let groups = [
                Self.group(source: [5, 8], target: [4, 3], seed: 1), Self.group(source: [9], target: [12], seed: 2),
                TokenGroup.empty(index: 2),
            ]
            var together = RequestedCapacity(strata: [2, 3]), sum = RequestedCapacity(strata: [2, 3])
            for group in groups {
                try together.add(group, model)
                var one = RequestedCapacity(strata: [2, 3])
                try one.add(group, model)
                sum.encoder += one.encoder
                sum.decoder += one.decoder
            }
            #expect(together == sum)
            #expect(together.encoder.tokens == 22 && together.decoder.tokens == 19)
        }
    }

    @Test(arguments: [2, 3]) func ranksAddUp(ranks: Int) throws {
        @Sendable func capacity(_ world: any Communicator) throws -> RequestedCapacity {
            let alone = try world.split(color: world.rank, key: 0)
            let model = try SearchModel.make(MixtureConfiguration(strata: [2, 3]), on: alone, vocabulary: 20, seed: 3)
            var capacity = RequestedCapacity(strata: [2, 3])
            for index in stride(from: world.rank, to: 3, by: world.size) {
                try capacity.add(Self.group(source: [5 + index, 8], target: [4, 3], seed: UInt64(index)), model)
            }
            try capacity.sum { try world.allReduce(&$0, .sum) }
            return capacity
        }
        let whole = try alone(capacity)
        #expect(whole.encoder.tokens == 13 + 14 + 15 && whole.decoder.tokens == 21 && whole.encoder.choices > 0)
        for sum in try SimulatedCluster.run(ranks: ranks, capacity) { #expect(sum == whole) }
    }

    @Test func oneStratumAsksForOne() throws {
        try alone { rank in
            let model = try SearchModel.make(MixtureConfiguration(strata: [4]), on: rank, vocabulary: 20, seed: 3)
            var capacity = RequestedCapacity(strata: [4])
            try capacity.add(Self.group(source: [7], target: [6], seed: 1), model)
            #expect(capacity.encoder.requestedCapacity == 1 && capacity.decoder.requestedCapacity == 1)
        }
    }

    /// What the model is asked for does not depend on how its sentences are grouped.
    @Test func groupingChangesNothing() throws {
        try alone { rank in
            let model = try SearchModel.make(MixtureConfiguration(strata: [2, 3]), on: rank, vocabulary: 20, seed: 3)
            let both = Self.group(source: [5, 8], target: [4, 3], seed: 1).batch
            var together = RequestedCapacity(strata: [2, 3]), apart = RequestedCapacity(strata: [2, 3])
            try together.add(TokenGroup(index: 0, batch: both, directions: [0, 0]), model)
            for sentence in 0..<2 {
                let (source, target) = (both.sourceSegments.range(sentence), both.targetSegments.range(sentence))
                try apart.add(
                    TokenGroup(
                        index: 0,
                        batch: SentenceBatch(
                            source: Array(both.source[source]), sourceSegments: Segments(lengths: [source.count]),
                            targetInput: Array(both.targetInput[target]), targetOutput: Array(both.targetOutput[target]),
                            targetSegments: Segments(lengths: [target.count])), directions: [0]), model)
            }
            #expect(together == apart)
        }
    }
}
