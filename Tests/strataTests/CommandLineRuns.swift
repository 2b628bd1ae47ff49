import Foundation
import Testing
import _TestSupport

/// `strata` as people run it: a process, with a folder to work in.
final class CommandLineFolder: Sendable {
    let path: String

    init() {
        path = NSTemporaryDirectory() + "strata-command-" + UUID().uuidString
        try! FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
    }

    deinit { try? FileManager.default.removeItem(atPath: path) }

    func data(_ name: String) throws -> Data { try Data(contentsOf: URL(fileURLWithPath: "\(path)/\(name)")) }
    func write(_ name: String, _ data: Data) throws { try data.write(to: URL(fileURLWithPath: "\(path)/\(name)")) }
    func exists(_ name: String) -> Bool { FileManager.default.fileExists(atPath: "\(path)/\(name)") }

    func names(_ folder: String) throws -> [String] {
        try FileManager.default.contentsOfDirectory(atPath: "\(path)/\(folder)").sorted()
    }

    func copy(_ source: String, to name: String) throws {
        try FileManager.default.copyItem(atPath: source, toPath: "\(path)/\(name)")
    }

    /// Flips a bit in the middle of a file.
    func damage(_ name: String) throws {
        var bytes = try data(name)
        bytes[bytes.count / 2] ^= 4
        try write(name, bytes)
    }

    /// The updates' losses of a run, in order.
    func losses(_ run: String) throws -> [Double] { try metrics(run).compactMap { $0["loss"] as? Double } }

    /// The lines of a run's metrics.
    func metrics(_ run: String) throws -> [[String: Any]] {
        try data("\(run)/metrics.jsonl").split(separator: UInt8(ascii: "\n")).map {
            try #require(try JSONSerialization.jsonObject(with: $0) as? [String: Any])
        }
    }
}

/// How many ranks run a command, and as what.
enum Launch: Equatable, Sendable, CustomTestStringConvertible {
    case alone, simulated(Int), mpirun(Int)

    static let onOneAndTwo: [Launch] = [.alone, .simulated(2), .mpirun(2)]

    var testDescription: String {
        switch self {
        case .alone: "alone"
        case let .simulated(ranks): "\(ranks) simulated ranks"
        case let .mpirun(ranks): "mpirun -n \(ranks)"
        }
    }

    /// Runs `strata`; simulated ranks are an option of `train`, `analyze`, `bench step` and `bench alltoall`.
    func strata(_ arguments: [String], input: String = "", timeout: Double = 60) throws -> Subprocess.Outcome {
        let executable = try BuiltProducts.path("strata")
        let outcome =
            switch self {
            case .alone: try Subprocess.run(executable, arguments, input: input, timeout: timeout)
            case let .simulated(ranks):
                try Subprocess.run(executable, arguments + ["--simulate-ranks", "\(ranks)"], input: input, timeout: timeout)
            case let .mpirun(ranks):
                try MPILauncher.run(executable: executable, arguments: arguments, ranks: ranks, timeout: timeout)
            }
        #expect(!outcome.timedOut, "\(arguments): \(outcome)")
        return outcome
    }
}

/// A tiny corpus, prepared once, and a run trained on it, that suites share and copy from.
enum TinyCommandLine {
    static let updates = 12

    private static let folder: CommandLineFolder = {
        let folder = CommandLineFolder()
        try! folder.write(
            "tiny.yaml",
            Data(
                """
                model:
                  dim: 16
                  ffn_dim: 32
                  heads: 2
                  encoder_layers: 2
                  decoder_layers: 2
                  dropout: 0.1
                  attention_dropout: 0.1
                  moe: {every: 2, strata: [2, 2]}
                data:
                  format: numerals
                  prepared: \(folder.path)/prepared
                  vocabulary: 120
                  numerals: {below: 2000, languages: [cat, isl], pairs: 200, validation: 8, test: 6}
                training: {updates: \(updates), token_groups: 4, tokens_per_group: 150, learning_rate: 2.0e-3, warmup: 5,
                           seed: 7, validate_every: 5}
                parallel: {threads_per_rank: 1}
                checkpoint: {every: 5, keep: 3}

                """.utf8))
        prepared = try! Launch.alone.strata(["prepare", "\(folder.path)/tiny.yaml"])
        trained = try! Launch.alone.strata(["train", "\(folder.path)/tiny.yaml", "--out", "\(folder.path)/run"])
        // Nobody deinitialises what is static.
        atexit { TinyCommandLine.remove() }
        return folder
    }()

    private static func remove() { try? FileManager.default.removeItem(atPath: folder.path) }

    // Written while `folder` is made, once.
    nonisolated(unsafe) private static var prepared: Subprocess.Outcome?
    nonisolated(unsafe) private static var trained: Subprocess.Outcome?

    static var configuration: String { "\(folder.path)/tiny.yaml" }
    static var data: String { "\(folder.path)/prepared" }
    /// The folder of a run of 12 updates on one rank, with checkpoints 5, 10 and 12.
    static var run: String { "\(folder.path)/run" }
    static var runs: CommandLineFolder { folder }
    /// How preparing and training it went.
    static var outcomes: (prepare: Subprocess.Outcome, train: Subprocess.Outcome) {
        _ = folder
        return (prepared!, trained!)
    }
}

/// Expects an error: the status, each text on standard error, said once, and nothing on standard output.
func expectError(
    _ outcome: Subprocess.Outcome, _ status: Int32, _ texts: String..., location: SourceLocation = #_sourceLocation
) {
    #expect(outcome.status == status, "\(outcome)", sourceLocation: location)
    #expect(outcome.stdout.isEmpty, "\(outcome)", sourceLocation: location)
    for text in texts {
        let times = outcome.stderr.components(separatedBy: text).count - 1
        #expect(times == 1, "\(text) must be said once, but is \(times) times: \(outcome)", sourceLocation: location)
    }
    #expect(!outcome.stderr.contains("Fatal error"), "\(outcome)", sourceLocation: location)
}
