import Foundation
import MixtureOfExperts
import TensorCore
import Testing
import _TestSupport

/// What is recorded at gates, and which experts exist after a change.
@Suite struct ExpertPoolTests {
    private static func record(_ tokens: Int, _ unrouted: Int, _ chosen: [Int], _ sum: [Double]) -> GateRecord {
        GateRecord(tokens: tokens, unrouted: unrouted, chosen: chosen, unroutedSum: sum)
    }

    @Test func recordsAddUpInAnyOrder() {
        let parts = [
            Self.record(3, 1, [2, 1, 1], [0.1, -2]), Self.record(5, 0, [0, 5, 0], [0, 0]),
            Self.record(1, 1, [0, 0, 0], [1e-7, 1e6]),
        ]
        var sums: [GateRecord] = []
        for order in [[0, 1, 2], [2, 0, 1], [1, 2, 0]] {
            var sum = GateRecord(experts: 3, width: 2)
            for part in order { sum += parts[part] }
            sums.append(sum)
        }
        #expect(sums[0] == sums[1] && sums[1] == sums[2])
        #expect(sums[0].tokens == 9 && sums[0].unrouted == 2 && sums[0].chosen == [2, 6, 1])
        #expect(abs(sums[0].unroutedSum[0] - 0.1000001) < 0x1p-23)
        // What one group adds is bounded.
        #expect(sums[0].unroutedSum[1] == 0x1p18 - 2)
        var copy = GateRecord(experts: 3, width: 2)
        copy.counts = sums[0].counts
        #expect(copy == sums[0])
        #expect(copy.isOf(experts: 3, width: 2) && !copy.isOf(experts: 2, width: 2) && !copy.isOf(experts: 3, width: 1))
        #expect(!Self.record(1, 2, [0], []).isOf(experts: 1, width: 0))
        #expect(Self.record(0, 0, [], [.nan, .infinity]).unroutedSum == [0, 0x1p18])
    }

    @Test func changesOfAPool() throws {
        var pool = ExpertPool(block: "b", experts: [0, 2, 4])
        pool.add([Self.record(3, 1, [1], [1])])
        pool.add([Self.record(2, 0, [2], [1])])
        #expect(pool.records == [Self.record(5, 1, [3], [2])])
        #expect(try JSONDecoder().decode(ExpertPool.self, from: JSONEncoder().encode(pool)) == pool)
        var change = PoolChange()
        #expect(!change.changesExperts)
        (change.removed, change.added) = ([2, 4], [.init(expert: 3, model: nil), .init(expert: 4, model: 0)])
        #expect(change.changesExperts)
        pool.endWindow(change)
        #expect(pool.experts == [0, 3, 4] && pool.records == nil)
        pool.endWindow(nil)
        #expect(pool.experts == [0, 3, 4])
    }

    @Test func poolsThatAreNoneOfAConfiguration() {
        let configuration = MixtureConfiguration(strata: [2, 3], methods: [BestChoice()])
        #expect(ExpertPool(block: "b", experts: [0, 1, 2, 3, 4]).isOf(configuration, width: 2))
        // A stratum of which one is missing, an unknown one, and one that is there twice.
        for experts in [[0, 1, 2, 3], [0, 1, 2, 3, 4, 5], [0, 1, 2, 3, 4, 4], [1, 0, 2, 3, 4], [-1, 0, 1, 2, 3, 4], []] {
            #expect(!ExpertPool(block: "b", experts: experts).isOf(configuration, width: 2), "\(experts)")
        }
        var recorded = ExpertPool(block: "b", experts: [0, 1, 2, 3, 4])
        recorded.add([GateRecord(experts: 5, width: 2), GateRecord(experts: 3, width: 2)])
        #expect(recorded.isOf(configuration, width: 2) && !recorded.isOf(configuration, width: 3))
        var short = ExpertPool(block: "b", experts: [0, 1, 2, 3, 4])
        short.add([GateRecord(experts: 5, width: 2)])
        #expect(!short.isOf(configuration, width: 2))
    }
}
