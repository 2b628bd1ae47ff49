import Foundation
import MixtureMethods
import MixtureOfExperts
import Testing
import _TestSupport

/// Which experts come and go by what is recorded: reference results, and cases by hand.
@Suite struct PoolAdaptationTests {
    private static func configuration(
        _ strata: [Int], initial: [Int]? = nil, minimum: Int = 1, tokens: Int = 0,
        newExpert: PoolAdaptation.NewExpert = .zeroOutput
    ) -> MixtureConfiguration {
        var configuration = MixtureConfiguration(strata: strata)
        configuration[PoolAdaptation.self].settings = .init(
            initial: initial ?? strata, minimum: minimum, record: 1, period: 1, minimumTokens: tokens, newExpert: newExpert)
        return configuration
    }

    private static func change(
        _ configuration: MixtureConfiguration, _ open: [[Int]], _ records: [GateRecord]
    ) -> PoolChange {
        configuration[PoolAdaptation.self].change(open.map { $0.map { $0 == 1 } }, records, configuration)
    }

    private static func record(_ chosen: [Int], unrouted: Int = 0, sum: [Double] = [0, 0], tokens: Int? = nil) -> GateRecord {
        GateRecord(tokens: tokens ?? chosen.reduce(unrouted, +), unrouted: unrouted, chosen: chosen, unroutedSum: sum)
    }

    /// Gates' masks after a change.
    private static func open(_ open: [[Int]], after change: PoolChange, _ configuration: MixtureConfiguration) -> [[Int]] {
        var open = open
        func place(_ stratum: Int, _ expert: Int) -> Int {
            expert - configuration.visibleExperts(atStratum: stratum).lowerBound
        }
        for closing in change.closings { open[closing.stratum][place(closing.stratum, closing.expert)] = 0 }
        for opening in change.openings { open[opening.stratum][place(opening.stratum, opening.expert)] = 1 }
        return open
    }

    private static let files = OracleFiles.names("method_").filter {
        (try? OracleFiles.open($0).metadata["method"]) == "dynmoe_adapt"
    }

    @Test func thereAreFiles() { #expect(!Self.files.isEmpty) }

    @Test(arguments: files) func reference(name: String) throws {
        let file = try OracleFiles.open(name), cases = try #require(file.metadata["cases"].flatMap { Int($0) })
        for number in 0..<cases {
            func integers(_ key: String) throws -> [Int] {
                try #require(file.integers("case.\(number).\(key)"), "\(key)").map(Int.init)
            }
            func floats(_ key: String) throws -> [Float] { try #require(file.floats("case.\(number).\(key)"), "\(key)") }
            let before = try integers("before.active"), chosen = try integers("choices")
            let configuration = Self.configuration([before.count])
            let record = Self.record(
                chosen, unrouted: try integers("unrouted_tokens")[0], sum: try floats("unrouted").map { Double($0) })
            let change = Self.change(configuration, [before], [record])
            #expect(Self.open([before], after: change, configuration) == [try integers("after.active")], "case \(number)")
            let slot = try integers("after.slot")[0]
            #expect(change.openings.map(\.expert) == (slot < 0 ? [] : [slot]), "case \(number)")
            if let opening = change.openings.first {
                try expectClose(opening.weight, try floats("after.weight"), tolerance: 1e-5, "case \(number)")
            }
        }
    }

    /// R_E = (2, 1, 1) and R_S = (0, −2): nobody goes, and a new row is (0, −1).
    @Test func byHand() {
        let configuration = Self.configuration([4], initial: [3])
        let change = Self.change(configuration, [[1, 1, 1, 0]], [Self.record([2, 1, 1, 0], unrouted: 1, sum: [0, -2])])
        #expect(change.closings.isEmpty && change.removed.isEmpty)
        #expect(change.openings == [.init(stratum: 0, expert: 3, weight: [0, -1])])
        #expect(change.added == [.init(expert: 3, model: nil)])
    }

    @Test func aStratumThatNobodyReachedStaysAsItIs() {
        let configuration = Self.configuration([3, 3])
        let open = [[1, 1, 0, 1, 1, 0], [1, 1, 0]]
        let none = Self.change(configuration, open, [Self.record([0, 0, 0, 0, 0, 0]), Self.record([0, 0, 0])])
        #expect(none == PoolChange())
        // What few tokens show is no evidence either.
        let few = Self.configuration([3, 3], tokens: 10)
        let records = [Self.record([9, 0, 0, 0, 0, 0]), Self.record([0, 0, 0], unrouted: 9, sum: [1, 1])]
        #expect(Self.change(few, open, records) == PoolChange())
        let enough = Self.change(Self.configuration([3, 3], tokens: 9), open, records)
        #expect(enough.closings.map(\.expert) == [1, 3, 4, 4] && enough.openings.map(\.expert) == [4])
        #expect(enough.removed == [1, 4] && enough.added.map(\.expert) == [4])
    }

    /// Closed by one gate it is another's still; it goes when none keeps it.
    @Test func anExpertGoesWhenNoGateKeepsIt() {
        let configuration = Self.configuration([2, 3]), open = [[1, 1, 1, 1, 1], [1, 1, 1]]
        let kept = Self.change(configuration, open, [Self.record([4, 4, 0, 1, 1]), Self.record([2, 1, 0])])
        #expect(kept.closings == [.init(stratum: 0, expert: 2), .init(stratum: 1, expert: 4)])
        #expect(!kept.changesExperts)
        let gone = Self.change(configuration, open, [Self.record([4, 4, 1, 1, 0]), Self.record([2, 1, 0])])
        #expect(gone.closings.count == 2 && gone.removed == [4] && gone.added.isEmpty)
    }

    @Test func aStratumKeepsItsMostUsed() {
        let unused = Self.record([0, 0, 0, 0], unrouted: 5)
        #expect(Self.change(Self.configuration([4]), [[0, 1, 1, 1]], [unused]).removed == [2, 3])
        let three = Self.configuration([4], minimum: 3)
        #expect(Self.change(three, [[1, 1, 1, 1]], [Self.record([0, 0, 0, 2])]).removed == [2])
        // Of another stratum's a gate need not keep any.
        let two = Self.configuration([1, 2], minimum: 1)
        let change = Self.change(two, [[1, 1, 1], [1, 1]], [Self.record([7, 0, 0]), Self.record([1, 1])])
        #expect(change.closings.count == 2 && !change.changesExperts)
    }

    @Test func aFullStratumGrowsNoMore() {
        let configuration = Self.configuration([3])
        let change = Self.change(configuration, [[1, 1, 1]], [Self.record([4, 3, 2], unrouted: 6, sum: [1, 1])])
        #expect(change == PoolChange())
    }

    /// One that an earlier gate does not see yet it opens when it has no room of its own.
    @Test func earlierGatesOpenWhatExists() {
        let configuration = Self.configuration([2, 3], initial: [2, 2]), open = [[1, 1, 1, 1, 0], [1, 1, 0]]
        let added = Self.change(
            configuration, open, [Self.record([1, 1, 1, 1, 0]), Self.record([2, 2, 0], unrouted: 1, sum: [3, 4])])
        #expect(added.openings == [.init(stratum: 1, expert: 4, weight: [0.6, 0.8])] && added.added.map(\.expert) == [4])
        let now = Self.open(open, after: added, configuration)
        #expect(now == [[1, 1, 1, 1, 0], [1, 1, 1]])
        let seen = Self.change(
            configuration, now, [Self.record([1, 1, 1, 1, 0], unrouted: 1, sum: [0, 2]), Self.record([2, 2, 2])])
        #expect(seen.openings == [.init(stratum: 0, expert: 4, weight: [0, 1])] && !seen.changesExperts)
        // With room of its own it takes that.
        let room = Self.change(
            configuration, [[1, 0, 1, 1, 0], [1, 1, 1]],
            [Self.record([1, 0, 1, 1, 0], unrouted: 1, sum: [0, 2]), Self.record([2, 2, 2])])
        #expect(room.openings.map(\.expert) == [1] && room.added.map(\.expert) == [1])
    }

    /// Another takes the place of one that goes, and begins anew.
    @Test func aPlaceIsTakenAtOnce() {
        let configuration = Self.configuration([3])
        let change = Self.change(configuration, [[1, 1, 1]], [Self.record([5, 0, 2], unrouted: 2, sum: [0, -1])])
        #expect(change.removed == [1] && change.added == [.init(expert: 1, model: nil)])
        #expect(change.openings == [.init(stratum: 0, expert: 1, weight: [0, -1])])
        // A sum of rows that cancel has no direction.
        #expect(Self.change(configuration, [[1, 1, 1]], [Self.record([5, 0, 2], unrouted: 2)]).openings.isEmpty)
    }

    @Test func aCopyIsOfTheMostUsed() {
        let configuration = Self.configuration([2, 3], initial: [2, 2], newExpert: .copy)
        let records = [Self.record([1, 1, 4, 1, 0]), Self.record([1, 3, 0], unrouted: 1, sum: [3, 4])]
        #expect(Self.change(configuration, [[1, 1, 1, 1, 0], [1, 1, 0]], records).added == [.init(expert: 4, model: 2)])
    }

    /// Of every 900 updates those from 301 up to 600, as published.
    @Test func windows() {
        var method = PoolAdaptation()
        #expect(!method.isInUse && !method.records(update: 301) && !method.adapts(after: 600))
        method.settings = .init()
        #expect(method.isInUse)
        #expect((1...1800).filter(method.records(update:)) == Array(301...600) + Array(1201...1500))
        #expect((1...1800).filter(method.adapts(after:)) == [600, 1500])
        method.settings = .init(initial: [1], record: 2, period: 2, minimumTokens: 0)
        #expect((1...6).allSatisfy(method.records(update:)) && (1...6).filter(method.adapts(after:)) == [2, 4, 6])
        method.settings = .init(initial: [1], record: 1, period: 2, minimumTokens: 0)
        #expect((1...6).filter(method.records(update:)) == [1, 3, 5] && (1...6).filter(method.adapts(after:)) == [1, 3, 5])
    }

    @Test func whatExistsAtFirst() {
        let configuration = Self.configuration([4, 3], initial: [2, 1], minimum: 1)
        #expect(configuration.initialExperts == [0, 1, 4] && configuration.fewestExperts == [1, 1])
        #expect(configuration.hasEveryStratum([3, 6]) && !configuration.hasEveryStratum([0, 1]))
        let fixed = MixtureConfiguration(strata: [4, 3])
        #expect(fixed.pool == nil && fixed.initialExperts == Array(0..<7) && fixed.fewestExperts == [4, 3])
    }

    /// What it goes together with, the tests of configurations say.
    @Test func keys() throws {
        let fixed = try WrittenMixture.read(#"{"strata": [4]}"#)
        #expect(fixed[PoolAdaptation.self].settings == nil && !WrittenMixture.keys(fixed).contains("expert_pool"))
        let found = WrittenMixture.problem(
            #"{"strata": [4], "expert_pool": {"initial": [2], "minimum": 3, "record": 7, "period": 5, "new_expert": "slot"}}"#)
        #expect(found.contains("moe.expert_pool.new_expert must be zero_output or copy, but is slot"), "\(found)")
        var written = Self.configuration([4], initial: [2], minimum: 2, tokens: 50, newExpert: .copy)
        #expect(WrittenMixture.keys(written).contains("expert_pool") && written.additions.contains("expert pool"))
        written[PoolAdaptation.self].settings = nil
        #expect(!written.additions.contains("expert pool"))
    }

    /// A group has one copy of each expert, so that it is no larger than the fewest that a stratum keeps.
    @Test func groupsAreNoLargerThanTheFewestExperts() {
        var mixture = MixtureConfiguration(strata: [16])
        mixture[PoolAdaptation.self].settings = .init()
        mixture[PoolAdaptation.self].settings?.minimum = 2
        let error = #expect(throws: PlacementError.self) {
            _ = try ParallelLayout(ranks: 4, expertParallel: 4, mixture: mixture)
        }
        #expect(error == .tooManyPlaces(expertParallel: 4, limit: .experts(2)))
    }
}
