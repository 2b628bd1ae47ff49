import Glibc

/// Notices that a rank waits in a collective without end, says for whom, and at last gives up.
///
/// It is a thread beside each rank's, which takes no part in collectives (MPI is the main thread's alone): it reads where its
/// rank is, posts that on the board, and reads there what the others do.
public final class Watchdog {
    /// Limits in seconds.
    public struct Limits: Sendable {
        /// Waiting before the first word, and between words.
        public var report: Double
        /// Waiting before giving up; 0: never.
        public var giveUp: Double
        /// Waiting before giving up where no rank is at work: each waits too, or does not answer; 0: no sooner than others.
        public var unreachable: Double

        public init(report: Double, giveUp: Double, unreachable: Double = 0) {
            self.report = report
            self.giveUp = giveUp
            self.unreachable = unreachable
        }
    }

    /// The world under watch, with all communicators that are made from it.
    public let world: any Communicator
    private let watch: Watch
    private let thread: SystemThread
    private var isStopped = false

    /// Every rank makes one. Reports that an earlier job left on the board must be gone by then.
    ///
    /// - Parameters:
    ///   - say: Takes a message of one or more lines.
    ///   - giveUp: Ends the process. MPI cannot be called for it, but a launcher ends the job when a rank ends badly.
    /// - Throws: `CollectiveError.transport` if the system refuses a thread.
    public init(
        _ world: any Communicator, host: String, board: any RankBoard, limits: Limits,
        say: @escaping @Sendable (String) -> Void, giveUp: @escaping @Sendable () -> Void
    ) throws {
        let journal = CollectiveJournal()
        self.world = WatchedCommunicator(world, id: "world", members: Array(0..<world.size), journal: journal)
        let watch = Watch(
            journal: journal, rank: world.rank, host: host, board: board, limits: limits, say: say, giveUp: giveUp)
        guard let thread = SystemThread({ watch.run() }) else {
            throw CollectiveError.transport(
                operation: "watchdog", rank: world.rank,
                detail: "the system refuses a thread (\(String(cString: strerror(errno))))")
        }
        self.watch = watch
        self.thread = thread
    }

    deinit { stop() }

    /// Returns once the thread has ended.
    public func stop() {
        guard !isStopped else { return }
        isStopped = true
        watch.stopped.signal()
        thread.join()
    }
}
