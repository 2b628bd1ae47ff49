import Foundation
import Synchronization
import TensorCore
import Testing

@Suite struct WorkerPoolTests {
    /// How often each piece ran.
    private func counts(_ pool: WorkerPool, _ count: Int) -> [Int] {
        let calls = UnsafeMutablePointer<Int>.allocate(capacity: max(count, 1))
        calls.initialize(repeating: 0, count: count)
        defer { calls.deallocate() }
        pool.parallelFor(count) { calls[$0] += 1 }
        return (0..<count).map { calls[$0] }
    }

    @Test(arguments: 1...4) func everyPieceRunsOnce(threads: Int) {
        let pool = WorkerPool(threads: threads)
        for count in [0, 1, 2, 3, 7, 64, 1000] {
            #expect(counts(pool, count).allSatisfy { $0 == 1 })
        }
    }

    @Test(arguments: 1...3) func rangesCoverEverythingOnce(threads: Int) {
        let pool = WorkerPool(threads: threads)
        for (count, grain) in [(0, 5), (1, 5), (10, 5), (11, 5), (4, 0), (3, 100)] {
            let ranges = Mutex<[Range<Int>]>([])
            pool.parallelRanges(count, grain: grain) { range in ranges.withLock { $0.append(range) } }
            let sorted = ranges.withLock { $0 }.sorted { $0.lowerBound < $1.lowerBound }
            #expect(sorted.flatMap(Array.init) == Array(0..<count))
            #expect(sorted.allSatisfy { !$0.isEmpty && $0.count <= max(grain, 1) })
        }
    }

    /// The operations of a step follow each other within microseconds, and their results are seen at once.
    @Test func manyShortOperationsInARow() {
        let pool = WorkerPool(threads: 3)
        let values = UnsafeMutablePointer<Int>.allocate(capacity: 8)
        values.initialize(repeating: 0, count: 8)
        defer { values.deallocate() }
        for _ in 0..<20_000 {
            pool.parallelFor(8) { values[$0] += 1 }
            pool.parallelFor(7) { piece in values[piece] &+= values[piece] &- values[piece] }
        }
        #expect((0..<8).allSatisfy { values[$0] == 20_000 })
    }

    @Test func workersThatWentToSleepWakeAgain() {
        let pool = WorkerPool(threads: 3)
        for _ in 0..<10 {
            #expect(counts(pool, 50).allSatisfy { $0 == 1 })
            usleep(3000)
        }
    }

    /// A kernel may call another one from within a piece.
    @Test(arguments: 1...4) func operationsMayBeNested(threads: Int) {
        let pool = WorkerPool(threads: threads)
        for _ in 0..<50 {
            let calls = UnsafeMutablePointer<Int>.allocate(capacity: 60)
            calls.initialize(repeating: 0, count: 60)
            pool.parallelFor(6) { outer in
                pool.parallelFor(10) { inner in calls[outer * 10 + inner] += 1 }
            }
            #expect((0..<60).allSatisfy { calls[$0] == 1 })
            calls.deallocate()
        }
        #expect(counts(pool, 100).allSatisfy { $0 == 1 })
    }

    @Test(.enabled(if: FileManager.default.fileExists(atPath: "/proc/self/task")))
    func droppedPoolsLeaveNoThreads() throws {
        func threads() throws -> Int { try FileManager.default.contentsOfDirectory(atPath: "/proc/self/task").count }
        let before = try threads()
        for _ in 0..<100 {
            let pool = WorkerPool(threads: 4)
            #expect(counts(pool, 5).allSatisfy { $0 == 1 })
        }
        // Threads take a moment to end, and other tests have some of their own.
        var looks = 0
        while try threads() > before + 60, looks < 500 {
            usleep(10_000)
            looks += 1
        }
        #expect(try threads() <= before + 60)
    }

    @Test func poolsDoNotDisturbEachOther() {
        let pools = (0..<3).map { _ in WorkerPool(threads: 2) }
        let sums = Mutex<[Int]>([])
        DispatchQueue.concurrentPerform(iterations: 3) { index in
            var sum = 0
            for _ in 0..<500 { sum += counts(pools[index], 9).reduce(0, +) }
            sums.withLock { $0.append(sum) }
        }
        #expect(sums.withLock { $0 } == [4500, 4500, 4500])
    }
}
