import Dispatch
import Synchronization
import Testing
import _TestSupport

@testable import Collectives

/// The watchdog beside simulated ranks, and its thread's decisions step by step.
@Suite(.hangLimit) struct WatchdogTests {
    /// Reports in memory.
    private final class Board: RankBoard {
        private let reports = Mutex<[Int: RankReport]>([:])
        func post(_ report: RankReport) { reports.withLock { $0[report.rank] = report } }
        func report(of rank: Int) -> RankReport? { reports.withLock { $0[rank] } }
    }

    /// What was said; a rank can sleep until each of some texts was.
    private final class Talk: Sendable {
        let texts: [String]
        private let said = Mutex<[String]>([])
        private let heard = DispatchSemaphore(value: 0)
        init(until texts: String...) { self.texts = texts }
        func say(_ text: String) {
            said.withLock { $0.append(text) }
            heard.signal()
        }
        var all: [String] { said.withLock { $0 } }
        func sleep() {
            while !texts.allSatisfy({ text in all.contains { $0.contains(text) } }) { heard.wait() }
        }
    }

    private final class Count: Sendable {
        let value = Mutex(0)
    }

    /// Watched simulated ranks.
    private static func run(
        ranks: Int, _ talk: Talk, limits: Watchdog.Limits = .init(report: 0.2, giveUp: 0),
        giveUp: @escaping @Sendable () -> Void = {}, _ body: @Sendable (any Communicator) throws -> Void
    ) throws {
        let board = Board()
        _ = try SimulatedCluster.run(ranks: ranks) { world in
            let watchdog = try Watchdog(
                world, host: "here", board: board, limits: limits, say: { talk.say($0) }, giveUp: giveUp)
            defer { watchdog.stop() }
            try body(watchdog.world)
        }
    }

    @Test(arguments: [2, 3, 4]) func aRankThatSleepsIsNamed(ranks: Int) throws {
        let name = ranks == 2 ? "ranks 0, 1" : "ranks 0–\(ranks - 1)"
        let talk = Talk(until: "on here): runs, but is in no collective: it is past allReduce #1 among \(name)")
        try Self.run(ranks: ranks, talk) { world in
            _ = try world.allReduce(1, .sum)
            if world.rank == 1 { talk.sleep() }
            try world.barrier()
        }
        let text = try #require(talk.all.first { $0.contains(talk.texts[0]) })
        #expect(text.hasPrefix("barrier #2 among \(name) has kept rank"))
        #expect(text.contains("rank 1 has not entered it\n  rank 1 (process "))
    }

    /// Rank 3 keeps rank 2 waiting, and so both keep the world waiting.
    @Test func theChainOfThoseWhoWaitIsTold() throws {
        let talk = Talk(
            until: "waits itself in startAllReduce #1 among ranks 2, 3",
            "startAllReduce #1 among ranks 2, 3 has kept rank 2 waiting")
        try Self.run(ranks: 4, talk) { world in
            let pair = try world.split(color: world.rank / 2, key: 0)
            var values: [Float] = [1]
            if world.rank == 3 { talk.sleep() }
            try values.withUnsafeMutableBufferPointer { try pair.startAllReduce($0, .sum).wait() }
            try world.barrier()
        }
        #expect(
            talk.all.contains {
                $0.hasPrefix("startAllReduce #1 among ranks 2, 3 has kept rank 2") && $0.contains("rank 3 has not entered it")
            })
        #expect(
            talk.all.contains {
                $0.hasPrefix("barrier #2 among ranks 0–3") && $0.contains("ranks 2, 3 have not entered it")
            })
    }

    @Test func atTheLimitItGivesUp() throws {
        let talk = Talk(until: "gives up and ends the job")
        let ended = DispatchSemaphore(value: 0)
        try Self.run(ranks: 2, talk, limits: .init(report: 1000, giveUp: 0.2), giveUp: { ended.signal() }) { world in
            if world.rank == 1 { ended.wait() }
            try world.barrier()
        }
        #expect(talk.all.contains { $0.contains("rank 1 has not entered it") && $0.contains("rank 0 gives up") })
    }

    /// Watching changes nothing.
    @Test(arguments: [1, 2, 4]) func conformance(ranks: Int) throws {
        try Self.run(ranks: ranks, Talk(until: "-"), limits: .init(report: 1000, giveUp: 0)) {
            try CollectiveConformance.run($0)
        }
    }

    /// One rank's thread of a watchdog, a step of a second at a time.
    private final class Steps {
        let journal = CollectiveJournal()
        let talk = Talk(until: "-")
        let board = Board()
        let gaveUp = Count()
        private(set) var watch: Watch!

        init(report: Double, giveUp: Double, unreachable: Double = 0) {
            _ = journal.add(.init(id: "world", members: [0, 1]))
            watch = Watch(
                journal: journal, rank: 0, host: "here", board: board,
                limits: .init(report: report, giveUp: giveUp, unreachable: unreachable),
                say: { [talk] in talk.say($0) }, giveUp: { [gaveUp] in gaveUp.value.withLock { $0 += 1 } })
        }

        func enter(_ number: Int, waiting: Bool = true) {
            journal.groups[0].entered.store(number, ordering: .relaxed)
            journal.note(.init(operation: .barrier, group: 0, number: number, isWaiting: waiting))
        }
        func wait(_ seconds: Int) -> Bool { (0..<seconds).allSatisfy { _ in watch.step(1) } }
    }

    @Test func itRepeatsItself() {
        let steps = Steps(report: 10, giveUp: 0)
        steps.enter(1)
        #expect(steps.wait(10) && steps.talk.all.count == 0, "the step that finds the rank there does not count")
        #expect(steps.wait(1) && steps.talk.all.count == 1)
        #expect(steps.wait(9) && steps.talk.all.count == 1)
        #expect(steps.wait(1) && steps.talk.all.count == 2)
        #expect(steps.talk.all[1].contains("waiting for 20 s"))
    }

    @Test func progressBeginsTheCountAnew() {
        let steps = Steps(report: 10, giveUp: 15)
        for number in 1...10 {
            steps.enter(number)
            #expect(steps.wait(8))
        }
        steps.enter(10, waiting: false)
        #expect(steps.wait(100), "a rank that computes does not wait")
        #expect(steps.talk.all.isEmpty)
    }

    @Test func itGivesUpOnce() {
        let steps = Steps(report: 10, giveUp: 15)
        steps.enter(1)
        #expect(steps.wait(15))
        #expect(!steps.wait(1))
        #expect(steps.gaveUp.value.withLock { $0 } == 1)
        #expect(steps.talk.all.count == 2 && steps.talk.all[1].contains("waiting for 15 s"))
    }

    /// A peer that does not answer is waited for less long than one at work. The watch's own report is of the rank that waits.
    @Test func itGivesUpSoonerWhereNoRankIsAtWork() {
        for isAnswering in [true, false] {
            let steps = Steps(report: 100, giveUp: 60, unreachable: 20)
            var reports = [0, 1].map { RankReport(rank: $0, process: 1, host: "here", beat: 1, place: nil, entered: [:]) }
            reports[0].place = .init(operation: "barrier", group: "world", members: [0, 1], number: 1, isWaiting: true)
            steps.enter(1)
            var seconds = 0
            repeat {
                reports[0].beat += 1
                if isAnswering { reports[1].beat += 1 }
                reports.forEach(steps.board.post)
                seconds += 1
            } while steps.wait(1)
            // The first step finds the rank there.
            #expect(seconds - 1 == (isAnswering ? 60 : 20))
            #expect(steps.talk.all.count == 1 && steps.talk.all[0].contains("no rank is at work: ") == !isAnswering)
        }
    }

    /// A rank may make communicators and enter them while its watchdog looks.
    @Test func thePlaceIsAmongTheGroups() throws {
        let journal = CollectiveJournal(), made = 20_000
        let thread = try #require(
            SystemThread {
                for number in 1...made {
                    let group = journal.add(.init(id: "\(number)", members: [0]))
                    journal.note(.init(operation: .barrier, group: group, number: 1, isWaiting: true))
                }
            })
        var count = 0, strays = 0
        while count < made {
            let (place, groups) = journal.state
            if let place, place.group >= groups.count { strays += 1 }
            count = groups.count
        }
        thread.join()
        #expect(strays == 0)
    }

    @Test func placesFitInAWord() {
        #expect(CollectivePlace(packed: 0) == nil)
        for operation in WatchedOperation.allCases {
            for (group, number) in [(0, 1), (5, 123_456_789_012), (0xffff, (1 << 40) - 1)] {
                for isWaiting in [false, true] {
                    let place = CollectivePlace(operation: operation, group: group, number: number, isWaiting: isWaiting)
                    #expect(CollectivePlace(packed: place.packed) == place)
                }
            }
        }
    }
}
