import Collectives
import Files
import Foundation
import Synchronization
import Testing
import _TestSupport
import _TinyRuns

@testable import Checkpoints
@testable import Training

@Suite struct MetricsLogTests {
    private let folder = TemporaryFolder()
    private var path: String { "\(folder.path)/metrics.jsonl" }

    private func metrics(_ update: Int, loss: Double = 2.5) -> UpdateMetrics {
        UpdateMetrics(
            update: update, loss: loss, nll: 2, learningRate: 1e-3, gradientNorm: 3, targetTokens: 100,
            tokensPerSecond: 1e4, requestedCapacity: 1.5, droppedFraction: 0.25, load: [[1, 2], [0, 3]],
            loadViolation: [[1.5, 1]], flopsUtilization: 0.75, secondsLeft: 90, skipped: false,
            figures: [.init(name: "aux", value: 1)])
    }

    private func validation(_ update: Int) -> ValidationMetrics {
        ValidationMetrics(
            update: update, validLoss: 2, validNll: 1, validPerplexity: 2.7, validTokens: 50, validRequestedCapacity: 1.25)
    }

    private func lines() throws -> [String] {
        let text = String(decoding: try folder.data("metrics.jsonl"), as: UTF8.self)
        #expect(text.isEmpty || text.hasSuffix("\n"))
        return text.split(separator: "\n").map(String.init)
    }

    private func keys(_ line: String) throws -> Set<String> {
        Set(try #require(try JSONSerialization.jsonObject(with: Data(line.utf8)) as? [String: Any]).keys)
    }

    @Test func aLineAnUpdateAndAValidation() throws {
        let log = try MetricsLog(path: path, continuingAfter: 0)
        try log.append(metrics(1))
        try log.append(validation(1))
        let lines = try lines()
        #expect(lines.count == 2)
        #expect(
            try keys(lines[0]) == [
                "update", "loss", "nll", "aux", "learning_rate", "gradient_norm", "target_tokens", "tokens_per_second",
                "rounds_mean", "dropped_fraction", "load", "load_violation", "flops_utilization", "seconds_left", "skipped",
            ])
        #expect(
            try keys(lines[1]) == [
                "update", "valid_loss", "valid_nll", "valid_perplexity", "valid_tokens", "valid_rounds_mean",
            ])
        #expect(try JSONDecoder().decode(UpdateMetrics.self, from: Data(lines[0].utf8)) == metrics(1))
    }

    @Test func lossesThatAreConfiguredAreLogged() throws {
        var figures = metrics(1)
        figures.figures += [("budget", 0.25), ("conditional_gate_mean", 0.75), ("z_loss", 3)].map(MetricFigure.init)
        let log = try MetricsLog(path: path, continuingAfter: 0)
        try log.append(figures)
        let line = try lines()[0]
        #expect(try keys(line).isSuperset(of: ["budget", "conditional_gate_mean", "z_loss"]))
        #expect(try JSONDecoder().decode(UpdateMetrics.self, from: Data(line.utf8)) == figures)
    }

    @Test func anewItBeginsEmpty() throws {
        try folder.write("metrics.jsonl", Data("{\"update\":1}\n".utf8))
        _ = try MetricsLog(path: path, continuingAfter: 0)
        #expect(try lines().isEmpty)
    }

    @Test func continuingRemovesLaterLinesAndKeepsTheOthersAsTheyAre() throws {
        let first = try MetricsLog(path: path, continuingAfter: 0)
        for update in 1...4 {
            try first.append(metrics(update))
            if update % 2 == 0 { try first.append(validation(update)) }
        }
        let before = try lines()
        let second = try MetricsLog(path: path, continuingAfter: 2)
        #expect(try lines() == Array(before[..<3]))
        try second.append(metrics(3))
        #expect(try lines() == Array(before[..<4]))
    }

    @Test func aTornLastLineIsRemoved() throws {
        let first = try MetricsLog(path: path, continuingAfter: 0)
        try first.append(metrics(1))
        let whole = try folder.data("metrics.jsonl")
        for torn in ["{\"update\":2,\"lo", "{", "{\"update\":2}trailing"] {
            try folder.write("metrics.jsonl", whole + Data(torn.utf8))
            _ = try MetricsLog(path: path, continuingAfter: 5)
            #expect(try folder.data("metrics.jsonl") == whole, "\(torn)")
        }
    }

    @Test func continuingWithoutALogBeginsOne() throws {
        try MetricsLog(path: path, continuingAfter: 3).append(metrics(4))
        #expect(try lines().count == 1)
    }

    @Test func whatIsNotFiniteIsWrittenAsText() throws {
        let log = try MetricsLog(path: path, continuingAfter: 0)
        try log.append(metrics(1, loss: .nan))
        try log.append(metrics(2, loss: .infinity))
        let lines = try lines()
        #expect(lines[0].contains("\"loss\":\"nan\"") && lines[1].contains("\"loss\":\"inf\""))
        _ = try MetricsLog(path: path, continuingAfter: 2)
        #expect(try self.lines() == lines)
    }

    @Test func aLogThatCannotBeReadIsAnErrorAndStays() throws {
        try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
        #expect(throws: (any Error).self) { try MetricsLog(path: path, continuingAfter: 1) }
        var isFolder: ObjCBool = false
        #expect(FileManager.default.fileExists(atPath: path, isDirectory: &isFolder) && isFolder.boolValue)
    }

    /// How much of a log is on disk, and was so at several times.
    private final class Disk: Sendable {
        private let state = Mutex((size: 0, noted: [Int]()))
        var sizes: [Int] { state.withLock { $0.noted } }
        func note() { state.withLock { $0.noted.append($0.size) } }
        func sync(_ descriptor: Int32) -> Int32 {
            var status = stat()
            guard fstat(descriptor, &status) == 0 else { return -1 }
            state.withLock { $0.size = Int(status.st_size) }
            return 0
        }
    }

    /// A run that goes on from a checkpoint misses no line of before it, even if the host went down.
    @Test(arguments: [true, false]) func linesAreOnDiskBeforeACheckpointIs(asynchronous: Bool) throws {
        let folder = folder
        let lines = try SimulatedCluster.run(ranks: 1) { world in
            var plan = TinyPlan.stratified(updates: 5)
            (plan.cadence.every, plan.cadence.asynchronous) = (2, asynchronous)
            let run = try TinyRun(world, plan, in: folder.path), disk = Disk()
            run.log?.putOnDisk = disk.sync
            run.checkpoints.writeShard = { content, path in
                disk.note()
                return try content.write(to: path)
            }
            _ = try run.run()
            return try disk.sizes.map { size in
                try folder.data("metrics.jsonl").prefix(size).split(separator: UInt8(ascii: "\n"))
                    .count { String(decoding: $0, as: UTF8.self).contains("\"loss\"") }
            }
        }[0]
        #expect(lines == [2, 4, 5])
    }

    @Test func aDiskThatTakesNothingIsAnError() throws {
        let log = try MetricsLog(path: path, continuingAfter: 0)
        try log.append(metrics(1))
        log.putOnDisk = { _ in
            errno = EIO
            return -1
        }
        log.sync()
        #expect(log.failure?.description == "\(path): writing failed: Input/output error")
        #expect(throws: FileError.self) { try log.finish() }
        log.putOnDisk = { fsync($0) }
        try log.finish()
        #expect(log.failure == nil)
    }

    @Test func aFolderThatIsNotThereIsAnError() {
        #expect(throws: (any Error).self) { try MetricsLog(path: "\(folder.path)/no/metrics.jsonl", continuingAfter: 0) }
    }
}
