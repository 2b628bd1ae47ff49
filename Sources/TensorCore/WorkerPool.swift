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
        let crew = Crew(workers: threads - 1)
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
        parallelFor((count + grain - 1) / grain) { body($0 * grain ..< min(count, ($0 + 1) * grain)) }
    }
}

/// What a pool and its threads share; it lives until the last of them has ended.
private final class Crew: @unchecked Sendable {
    private let workers: Int
    private let next = Atomic<Int>(0)
    private let working = Atomic<Int>(0)
    private let generation = Atomic<Int>(0)
    private let sleeping = Atomic<Int>(0)
    private let dismissed = Atomic<Bool>(false)
    private let isTaken = Atomic<Bool>(false)
    private let condition = NSCondition()
    /// The operation under way; written before `generation` advances, read after.
    private var pieces = 0
    private var body: ((Int) -> Void)?

    /// Looks at a counter before yielding the processor; operations follow each other within microseconds.
    private static let spins = 2000

    init(workers: Int) { self.workers = workers }

    /// Takes the workers for one operation; false if they are in the middle of one.
    func begin() -> Bool { !isTaken.exchange(true, ordering: .acquiring) }

    func end() { isTaken.store(false, ordering: .releasing) }

    func work(_ count: Int, _ body: @escaping (Int) -> Void) {
        self.body = body
        pieces = count
        next.store(0, ordering: .relaxed)
        working.store(workers, ordering: .relaxed)
        generation.add(1, ordering: .sequentiallyConsistent)
        if sleeping.load(ordering: .sequentiallyConsistent) > 0 { wake() }
        claim(count, body)
        var looks = 0
        while working.load(ordering: .acquiring) > 0 {
            looks += 1
            if looks > Self.spins { sched_yield() }
        }
        self.body = nil
    }

    func serve() {
        var seen = 0
        while awaitWork(after: seen) {
            seen += 1
            claim(pieces, body!)
            working.subtract(1, ordering: .releasing)
        }
    }

    func dismiss() {
        dismissed.store(true, ordering: .sequentiallyConsistent)
        wake()
    }

    private func claim(_ pieces: Int, _ body: (Int) -> Void) {
        while true {
            let piece = next.add(1, ordering: .relaxed).oldValue
            if piece >= pieces { return }
            body(piece)
        }
    }

    /// False when the pool is gone.
    private func awaitWork(after seen: Int) -> Bool {
        var looks = 0
        while generation.load(ordering: .acquiring) == seen {
            if dismissed.load(ordering: .relaxed) { return false }
            looks += 1
            if looks > Self.spins * 20 { sleep(after: seen) }
        }
        return true
    }

    private func sleep(after seen: Int) {
        condition.lock()
        sleeping.add(1, ordering: .sequentiallyConsistent)
        while generation.load(ordering: .sequentiallyConsistent) == seen
            && !dismissed.load(ordering: .sequentiallyConsistent)
        {
            condition.wait()
        }
        sleeping.subtract(1, ordering: .sequentiallyConsistent)
        condition.unlock()
    }

    private func wake() {
        condition.lock()
        condition.broadcast()
        condition.unlock()
    }
}
