import Foundation
import Synchronization

/// Threads that share out the pieces of one operation at a time; the calling thread works along.
///
/// Pieces are claimed in order from one counter, so that the caller schedules the largest first by numbering them so. Which
/// thread computes a piece varies; what a piece computes must not depend on it.
public final class WorkerPool: @unchecked Sendable {
    /// Threads that work on an operation, the caller included.
    public let threads: Int
    private let crew: Crew

    public init(threads: Int) {
        precondition(threads >= 1, "a worker pool needs at least one thread")
        self.threads = threads
        let crew = Crew()
        self.crew = crew
        for worker in 1..<max(threads, 1) {
            let thread = Thread { crew.serve() }
            thread.name = "strata-worker-\(worker)"
            thread.stackSize = 8 << 20
            thread.start()
        }
    }

    deinit { crew.dismiss() }

    /// Calls `body` once for every piece 0 ..< count, on all threads, and returns when the last call has. From within a
    /// piece, or while another thread's operation is under way, the calling thread does all of it by itself.
    public func parallelFor(_ count: Int, _ body: (Int) -> Void) {
        if threads == 1 || count <= 1 || !crew.begin() {
            for piece in 0..<count { body(piece) }
            return
        }
        withoutActuallyEscaping(body) { crew.work(count, $0) }
        crew.end()
    }

    /// Splits 0 ..< count into ranges of `grain`, the last one shorter, and calls `body` for each.
    public func parallelRanges(_ count: Int, grain: Int, _ body: (Range<Int>) -> Void) {
        guard count > 0 else { return }
        let grain = max(grain, 1)
        parallelFor((count + grain - 1) / grain) { body($0 * grain..<min(count, ($0 + 1) * grain)) }
    }
}

/// What a pool and its threads share; it lives until the last of them has ended.
///
/// An operation ends when its last piece does, not when the last worker has looked at it: on a machine with more threads than
/// cores, that would be after the system has got round to each of them.
private final class Crew: @unchecked Sendable {
    /// The pieces of the operation under way that nobody has claimed, and in the upper half the operation's number: a worker
    /// that comes late cannot claim a piece of the next one by mistake.
    private let unclaimed = Atomic<UInt64>(0)
    private let completed = Atomic<Int>(0)
    private let sleeping = Atomic<Int>(0)
    private let dismissed = Atomic<Bool>(false)
    private let isTaken = Atomic<Bool>(false)
    private let condition = NSCondition()
    /// The operation under way: written before there are pieces to claim, read by who has claimed one.
    private var pieces = 0
    private var body: ((Int) -> Void)?

    /// Looks at a counter before yielding the processor; operations follow each other within microseconds.
    private static let spins = 2000
    private static let countMask: UInt64 = 0xFFFF_FFFF

    /// Takes the workers for one operation; false if they are in the middle of one.
    func begin() -> Bool { !isTaken.exchange(true, ordering: .acquiring) }

    func end() { isTaken.store(false, ordering: .releasing) }

    func work(_ count: Int, _ body: @escaping (Int) -> Void) {
        precondition(count <= Int(Self.countMask))
        self.body = body
        pieces = count
        completed.store(0, ordering: .relaxed)
        let operation = (unclaimed.load(ordering: .relaxed) >> 32) &+ 1
        unclaimed.store(operation << 32 | UInt64(count), ordering: .sequentiallyConsistent)
        if sleeping.load(ordering: .sequentiallyConsistent) > 0 { wake() }
        while let piece = claim() { run(piece) }
        var looks = 0
        while completed.load(ordering: .acquiring) < count {
            looks += 1
            if looks > Self.spins { sched_yield() }
        }
        self.body = nil
    }

    func serve() {
        while awaitWork() {
            while let piece = claim() { run(piece) }
        }
    }

    func dismiss() {
        dismissed.store(true, ordering: .sequentiallyConsistent)
        wake()
    }

    private func claim() -> Int? {
        var current = unclaimed.load(ordering: .acquiring)
        while current & Self.countMask > 0 {
            let (exchanged, original) = unclaimed.compareExchange(
                expected: current, desired: current - 1, ordering: .acquiringAndReleasing)
            if exchanged { return pieces - Int(current & Self.countMask) }
            current = original
        }
        return nil
    }

    private func run(_ piece: Int) {
        call(piece)
        completed.add(1, ordering: .acquiringAndReleasing)
    }

    /// A function of its own, so that no reference to the body is left when the piece counts as completed.
    @inline(never)
    private func call(_ piece: Int) { body!(piece) }

    private var hasWork: Bool { unclaimed.load(ordering: .sequentiallyConsistent) & Self.countMask > 0 }

    /// False when the pool is gone.
    private func awaitWork() -> Bool {
        var looks = 0
        while !hasWork {
            if dismissed.load(ordering: .relaxed) { return false }
            looks += 1
            if looks > Self.spins * 20 { sleep() }
        }
        return true
    }

    private func sleep() {
        condition.lock()
        sleeping.add(1, ordering: .sequentiallyConsistent)
        while !hasWork && !dismissed.load(ordering: .sequentiallyConsistent) { condition.wait() }
        sleeping.subtract(1, ordering: .sequentiallyConsistent)
        condition.unlock()
    }

    private func wake() {
        condition.lock()
        condition.broadcast()
        condition.unlock()
    }
}
