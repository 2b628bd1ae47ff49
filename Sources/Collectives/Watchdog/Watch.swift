import Dispatch
import Glibc

/// What the thread of a watchdog does. Its variables are that thread's alone.
final class Watch: @unchecked Sendable {
    let stopped = DispatchSemaphore(value: 0)
    private let journal: CollectiveJournal
    private let rank: Int
    private let host: String
    private let board: any RankBoard
    private let limits: Watchdog.Limits
    private let say: @Sendable (String) -> Void
    private let giveUp: @Sendable () -> Void

    private var beat = 0
    private var place: CollectivePlace?
    /// Seconds in that place.
    private var waited = 0.0
    /// When to look at the others next, and to speak next, in seconds of waiting. The first look says nothing.
    private var nextLook = 0.0
    private var nextWord = 0.0
    /// The members' reports at the last look.
    private var before: [Int: RankReport]?

    init(
        journal: CollectiveJournal, rank: Int, host: String, board: any RankBoard, limits: Watchdog.Limits,
        say: @escaping @Sendable (String) -> Void, giveUp: @escaping @Sendable () -> Void
    ) {
        self.journal = journal
        self.rank = rank
        self.host = host
        self.board = board
        self.limits = limits
        self.say = say
        self.giveUp = giveUp
    }

    /// Seconds to the first word.
    private var shortest: Double { [limits.giveUp, limits.unreachable].filter { $0 > 0 }.reduce(limits.report, min) }

    func run() {
        // Several beats between looks, and reports that are not old when something happens to a rank.
        let interval = min(1, shortest / 10)
        var last = ContinuousClock.now
        post()
        while stopped.wait(timeout: .now() + interval) == .timedOut {
            let now = ContinuousClock.now
            // A job that was suspended as a whole, and goes on, has not been waiting.
            let elapsed = min((now - last) / .seconds(1), 2 * interval)
            last = now
            post()
            guard step(elapsed) else { return }
        }
    }

    private func post() {
        beat += 1
        let (place, groups) = journal.state
        board.post(
            RankReport(
                rank: rank, process: getpid(), host: host, beat: beat, place: place.map { $0.named(in: groups) },
                entered: Dictionary(groups.map { ($0.id, $0.entered.load(ordering: .relaxed)) }) { max($0, $1) }))
    }

    /// What is to be done when so many seconds have passed since the last step. False once it has given up.
    func step(_ elapsed: Double) -> Bool {
        let current = journal.current
        guard let current, current.isWaiting, current == place else {
            place = current
            waited = 0
            // The first look is for comparison: who has not reported since is silent.
            nextLook = shortest / 2
            nextWord = limits.report
            before = nil
            return true
        }
        waited += elapsed
        let isAtEnd = limits.giveUp > 0 && waited >= limits.giveUp
        guard waited >= nextLook || isAtEnd else { return true }
        let standstill = look(at: current.named(in: journal.groups))
        let isHopeless = limits.unreachable > 0 && waited >= limits.unreachable && standstill.isOfAll
        if isAtEnd || isHopeless {
            let reason = isHopeless ? "no rank is at work: " : ""
            say("\(standstill.description)\n  \(reason)rank \(rank) gives up and ends the job")
            giveUp()
            return false
        }
        if waited >= nextWord {
            if !standstill.isSpokenForByAnother { say(standstill.description) }
            nextWord += limits.report
        }
        nextLook += shortest / 2
        before = standstill.now
        return true
    }

    /// Looks at the whole world: who waits here may wait for one that waits for others.
    private func look(at place: RankReport.Place) -> Standstill {
        var reports: [Int: RankReport] = [:]
        for member in journal.groups[0].members { reports[member] = board.report(of: member) }
        return Standstill(
            rank: rank, place: place, waited: waited, worldSize: journal.groups[0].members.count, now: reports,
            before: before ?? [:])
    }
}

extension CollectivePlace {
    fileprivate func named(in groups: [CollectiveJournal.Group]) -> RankReport.Place {
        let group = groups[self.group]
        return .init(
            operation: operation.name, group: group.id, members: group.members, number: number, isWaiting: isWaiting)
    }
}
