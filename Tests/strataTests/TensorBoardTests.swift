import Foundation
import Testing
import _TestSupport

@testable import Training
@testable import strata

@Suite(.hangLimit) struct TensorBoardTests {
    private let folder = CommandLineFolder()

    /// RFC 3720, B.4, and the check value of the CRC catalogue.
    @Test(
        arguments: [
            ([UInt8](repeating: 0, count: 32), 0x8A91_36AA), ([UInt8](repeating: 0xFF, count: 32), 0x62A8_AB43),
            (Array(0..<32), 0x46DD_794E), (Array((0..<32).reversed()), 0x113F_DB5C), (Array("123456789".utf8), 0xE306_9283),
            ([], 0),
        ] as [([UInt8], UInt32)])
    func checksumsOfTheStandard(bytes: [UInt8], crc: UInt32) {
        #expect(CRC32C.checksum(bytes) == crc)
        #expect(TensorBoardFile.check(bytes) == crc, "the tests' own")
    }

    /// Masking of the check of no bytes, 0, is the offset alone.
    @Test func recordsAreFramed() {
        #expect(CRC32C.masked([]) == 0xA282_EAD8)
        #expect(
            TFRecord.framed([]) == [0, 0, 0, 0, 0, 0, 0, 0, 0x29, 0x03, 0x98, 0x07, 0xD8, 0xEA, 0x82, 0xA2],
            "as TensorFlow writes an empty record")
    }

    private static func metrics(_ update: Int) -> UpdateMetrics {
        UpdateMetrics(
            update: update, loss: 2.5, nll: 2.25, learningRate: 0.001, gradientNorm: .nan, targetTokens: 300,
            tokensPerSecond: 1e6, requestedCapacity: 1.5, droppedFraction: 0.0625, load: [[4, 2, 1, 1], [0, 0, 3, 1]],
            loadViolation: [[2.5, 1.25]], flopsUtilization: 0.5, skipped: false,
            figures: [.init(name: "aux", value: 1.125)])
    }

    /// By whatever name.
    @Test func figuresOfBlocksAreWritten() throws {
        let log = try TensorBoardLog(folder: folder.path, continuingAfter: 0, gates: [0..<4, 2..<4])
        var metrics = Self.metrics(1)
        metrics.figures += [("budget", 0.25), ("conditional_gate_mean", 0.75), ("another", 3)].map(MetricFigure.init)
        #expect(log.append(.update(metrics)) == nil)
        let scalars = try TensorBoardFile(Data(contentsOf: URL(fileURLWithPath: log.path))).events[2].scalars
        #expect(scalars["routing/budget"] == 0.25 && scalars["routing/conditional_gate_mean"] == 0.75)
        #expect(scalars["routing/another"] == 3 && scalars["routing/aux"] == 1.125)
    }

    private func files() throws -> [String] {
        try FileManager.default.contentsOfDirectory(atPath: folder.path).filter { $0.hasPrefix(TensorBoardLog.prefix) }.sorted()
    }

    @Test func whatIsWrittenIsRead() throws {
        let log = try TensorBoardLog(folder: folder.path, continuingAfter: 300, gates: [0..<4, 2..<4])
        #expect(log.append(.update(Self.metrics(301))) == nil)
        let validation = ValidationMetrics(
            update: 301, validLoss: 3, validNll: 2, validPerplexity: 7.5, validTokens: 10, validRequestedCapacity: 1.25)
        #expect(log.append(.validation(validation)) == nil && log.append(.checkpoint(path: "", seconds: 1)) == nil)
        #expect(log.append(.update(Self.metrics(302))) == nil)
        let events = try TensorBoardFile(Data(contentsOf: URL(fileURLWithPath: log.path))).events
        #expect(events.map(\.step) == [0, 301, 301, 301, 302])
        #expect(events[0].fileVersion == "brain.Event:2" && events[1].isSessionStart)
        #expect(abs(events[0].wallTime - Date().timeIntervalSince1970) < 60)
        let scalars = events[2].scalars
        #expect(scalars["train/gradient_norm"]?.isNaN == true)
        #expect(
            scalars.filter { !$1.isNaN } == [
                "train/loss": 2.5, "train/nll": 2.25, "train/learning_rate": 0.001, "train/tokens_per_second": 1e6,
                "train/target_tokens": 300, "routing/aux": 1.125, "routing/rc": 1.5, "routing/dropped_fraction": 0.0625,
                "load/stratum_0_busiest_over_mean": 2, "load/stratum_1_busiest_over_mean": 1.5,
                "load/block_0_stratum_0_busiest_over_mean": 2.5, "load/block_0_stratum_1_busiest_over_mean": 1.25,
                "train/flops_utilization": 0.5,
            ])
        #expect(events[2].histograms["load/stratum_0"]?.amounts == [4, 2, 1, 1])
        #expect(events[2].histograms["load/stratum_0"]?.limits == [0.5, 1.5, 2.5, 3.5])
        #expect(events[2].histograms["load/stratum_1"]?.amounts == [3, 1])
        #expect(events[2].histograms["load/stratum_1"]?.limits == [2.5, 3.5])
        #expect(
            events[3].scalars == [
                "validation/loss": 3, "validation/nll": 2, "validation/perplexity": 7.5, "validation/rc": 1.25,
            ])
        #expect(events[4].scalars.count == scalars.count && events[4].histograms.isEmpty, "histograms every tenth update")
    }

    @Test func laterStartsAreReadLater() throws {
        let paths = try (0..<4).map { start in
            let log = try TensorBoardLog(folder: folder.path, continuingAfter: 10 * start, gates: [])
            #expect(log.append(.update(Self.metrics(10 * start + 1))) == nil)
            return log.path
        }
        #expect(try files().map { "\(folder.path)/\($0)" } == paths)
        let starts = try paths.map { try TensorBoardFile(Data(contentsOf: URL(fileURLWithPath: $0))).events[1] }
        #expect(starts.map(\.step) == [1, 11, 21, 31] && starts.allSatisfy(\.isSessionStart))
    }

    /// It is said once, and training goes on.
    @Test func aFullDiskIsNoReasonToStop() throws {
        let full = try TensorBoardLog(path: "/dev/full", continuingAfter: 0, gates: [])
        #expect(full.append(.update(Self.metrics(1)))?.description.contains("/dev/full: writing failed") == true)
        #expect(full.append(.update(Self.metrics(2))) == nil)
    }

    /// A run and its continuation, as a reader sees them that forgets what a start voids.
    @Test(arguments: [Launch.simulated(2), .mpirun(2)]) func aResumedRunIsOneCurve(launch: Launch) throws {
        for updates in [7, 12] {
            let outcome = try launch.strata([
                "train", TinyCommandLine.configuration, "--out", "\(folder.path)/run", "--resume", "--set",
                "training.updates=\(updates)",
            ])
            #expect(outcome.status == 0, "\(outcome)")
            if updates == 7 { try FileManager.default.removeItem(atPath: "\(folder.path)/run/checkpoints/step-00000007") }
        }
        var curve: [Int: Float] = [:]
        let names = try folder.names("run").filter { $0.hasPrefix(TensorBoardLog.prefix) }
        #expect(names.count == 2, "the first rank alone writes, a file a start")
        for name in names {
            for event in try TensorBoardFile(folder.data("run/\(name)")).events {
                if event.isSessionStart { curve = curve.filter { $0.key < event.step } }
                if let loss = event.scalars["train/loss"] {
                    #expect(curve.updateValue(loss, forKey: event.step) == nil, "update \(event.step) twice")
                }
            }
        }
        #expect(curve.sorted { $0.key < $1.key }.map(\.value) == (try folder.losses("run")).map(Float.init))
    }
}
