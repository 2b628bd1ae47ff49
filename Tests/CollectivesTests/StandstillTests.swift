import Testing

@testable import Collectives

/// What is said of ranks that wait.
@Suite struct StandstillTests {
    private static func report(
        _ rank: Int, beat: Int = 2, entered: Int, in operation: String? = "barrier", waiting: Bool = true,
        group: String = "world", members: [Int] = [0, 1, 2]
    ) -> RankReport {
        RankReport(
            rank: rank, process: Int32(100 + rank), host: "node\(rank)", beat: beat,
            place: operation.map {
                .init(operation: $0, group: group, members: members, number: entered, isWaiting: waiting)
            }, entered: ["world": entered])
    }

    private static func standstill(of rank: Int = 0, _ reports: RankReport..., silent: Set<Int> = []) -> Standstill {
        let now = Dictionary(uniqueKeysWithValues: reports.map { ($0.rank, $0) })
        let before = now.mapValues { report in
            var earlier = report
            if !silent.contains(report.rank) { earlier.beat -= 1 }
            return earlier
        }
        return Standstill(rank: rank, place: now[rank]!.place!, waited: 300.2, worldSize: 3, now: now, before: before)
    }

    @Test func aRankThatIsElsewhereIsNamed() {
        let found = Self.standstill(
            Self.report(0, entered: 7), Self.report(1, entered: 6, in: "allReduce", waiting: false), Self.report(2, entered: 7))
        #expect(
            found.description == """
                barrier #7 among ranks 0–2 has kept rank 0 waiting for 300 s: rank 1 has not entered it
                  rank 1 (process 101 on node1): runs, but is in no collective: it is past allReduce #6 among ranks 0–2
                """)
    }

    @Test func aRankThatDoesNotAnswerIsNamed() {
        let found = Self.standstill(
            Self.report(0, entered: 7), Self.report(1, entered: 5, waiting: false), Self.report(2, entered: 0, in: nil),
            silent: [1])
        #expect(
            found.description == """
                barrier #7 among ranks 0–2 has kept rank 0 waiting for 300 s: ranks 1, 2 have not entered it
                  rank 1 (process 101 on node1): does not answer: it is stopped or gone, or its host is; \
                it was last seen past barrier #5 among ranks 0–2
                  rank 2 (process 102 on node2): runs, but is in no collective: it is before its first collective
                """)
    }

    @Test func aRankThatWaitsElsewhereIsNotToBlame() {
        let found = Self.standstill(
            Self.report(0, entered: 7),
            RankReport(
                rank: 1, process: 1, host: "a", beat: 2,
                place: .init(operation: "allToAll", group: "world/1.0", members: [1, 2], number: 3, isWaiting: true),
                entered: ["world": 6, "world/1.0": 3]),
            Self.report(2, entered: 6, waiting: false), silent: [2])
        #expect(found.description.contains("rank 1 (process 1 on a): waits itself in allToAll #3 among ranks 1, 2"))
        #expect(found.description.contains("rank 2 (process 102 on node2): does not answer"))
    }

    @Test func whereAllAreInItTheSilentOneIsNamed() {
        let found = Self.standstill(
            Self.report(0, entered: 7), Self.report(1, entered: 7), Self.report(2, entered: 7), silent: [2])
        let text = found.description
        #expect(text.contains("all of them have entered it, but it does not end"))
        #expect(text.contains("rank 2 (") && !text.contains("rank 1 ("))
    }

    @Test func aRankWithoutAReport() {
        #expect(Self.standstill(Self.report(0, entered: 1)).description.contains("rank 1: has left no report"))
    }

    @Test func theLowestRankThatWaitsAndAnswersSpeaks() {
        let reports = [Self.report(0, entered: 7), Self.report(1, entered: 7), Self.report(2, entered: 6, waiting: false)]
        #expect(!Self.standstill(of: 0, reports[0], reports[1], reports[2]).isSpokenForByAnother)
        #expect(Self.standstill(of: 1, reports[0], reports[1], reports[2]).isSpokenForByAnother)
        #expect(!Self.standstill(of: 1, reports[0], reports[1], reports[2], silent: [0]).isSpokenForByAnother)
        let ahead = Self.report(0, entered: 7, waiting: false)
        #expect(!Self.standstill(of: 1, ahead, reports[1], reports[2]).isSpokenForByAnother)
    }

    @Test func whetherAnyRankIsAtWork() {
        let waiting = Self.report(0, entered: 7), alsoWaiting = Self.report(1, entered: 7)
        let atWork = Self.report(2, entered: 6, waiting: false), starting = Self.report(2, entered: 0, in: nil)
        #expect(!Self.standstill(waiting, alsoWaiting, atWork).isOfAll)
        #expect(!Self.standstill(waiting, alsoWaiting, starting).isOfAll)
        #expect(Self.standstill(waiting, alsoWaiting, atWork, silent: [2]).isOfAll)
        #expect(Self.standstill(waiting, alsoWaiting, Self.report(2, entered: 7)).isOfAll)
        #expect(!Self.standstill(waiting, alsoWaiting).isOfAll, "nothing is known of rank 2")
        #expect(!Self.standstill(waiting, alsoWaiting, atWork, silent: [0, 1, 2]).isOfAll, "no report is read")
    }

    @Test func manyRanksAreOneLine() {
        #expect(Standstill.ranks([3]) == "rank 3")
        #expect(Standstill.ranks([5, 1, 2, 0, 7, 8]) == "ranks 0–2, 5, 7, 8")
    }
}
