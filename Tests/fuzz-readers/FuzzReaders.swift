import Checkpoints
import ConfigurationForms
import DataPipeline
import Files
import Foundation
import MixtureOfExperts
import Runs
import TensorCore
import Training

/// Reads damaged files of every kind that the program reads: `fuzz-readers [--iterations N] [--seed S] [--only I]`.
///
/// Each must be read or refused with a typed error, in bounded time and memory. An iteration depends on the seed and its number
/// alone: `--only` does one again. Ends with the line "nothing found", or with status 1 and the iteration.
@main
enum FuzzReaders {
    /// What one reader makes of one damaged file; true if it accepts it.
    typealias Target = @Sendable (_ random: inout Mutator, _ folder: String) throws -> Bool

    static let targets: [(name: String, run: Target)] = [
        ("safetensors", SafeTensorsTarget.run), ("manifest", ManifestTarget.run), ("shards", ShardTarget.run),
        ("configuration", ConfigurationTarget.run), ("extremes", ExtremesTarget.run), ("report", ReportTarget.run),
    ]

    /// MiB that the process may come to hold.
    private static let mostMemory = 600

    static func main() throws {
        var iterations = 2000, seed: UInt64 = 1, only: Int?
        var arguments = CommandLine.arguments.dropFirst()
        while let option = arguments.popFirst() {
            let value = arguments.popFirst() ?? ""
            switch (option, UInt64(value)) {
            case let ("--iterations", number?): iterations = Int(number)
            case let ("--seed", number?): seed = number
            case let ("--only", number?): only = Int(number)
            default: fail("usage: fuzz-readers [--iterations N] [--seed S] [--only I]", status: 64)
            }
        }
        let folder = NSTemporaryDirectory() + "fuzz-readers-\(getpid())"
        try Folder.createEmpty(folder)
        defer { try? FileManager.default.removeItem(atPath: folder) }
        LastWords.listen()
        var accepted = [Int](repeating: 0, count: targets.count), tried = accepted
        for iteration in only.map({ $0..<$0 + 1 }) ?? 0..<iterations {
            let (name, target) = targets[iteration % targets.count]
            LastWords.prepare("\(name), --seed \(seed) --only \(iteration)")
            var random = Mutator(seed: seed, iteration: iteration)
            do {
                if try target(&random, folder) { accepted[iteration % targets.count] += 1 }
            } catch {
                guard isTyped(error) else { fail("\(name), --seed \(seed) --only \(iteration): \(error)") }
            }
            tried[iteration % targets.count] += 1
        }
        alarm(0)
        for (index, target) in targets.enumerated() {
            print(
                "\(target.name): \(tried[index]) read, \(accepted[index]) accepted, \(tried[index] - accepted[index]) refused")
        }
        let memory = Int(ProcessStatus.peakResidentMebibytes.rounded(.up))
        print("at most \(memory) MiB of memory")
        if memory > mostMemory { fail("more than \(mostMemory) MiB") }
        print("nothing found")
    }

    private static func isTyped(_ error: any Error) -> Bool {
        error is SafeTensors.FormatError || error is FileError || error is CheckpointError || error is ConfigurationError
            || error is DataError || error is PlacementError || error is PrecisionError || error is RunError
            || error is TrainingError
    }

    static func fail(_ text: String, status: Int32 = 1) -> Never {
        FileHandle.standardError.write(Data((text + "\n").utf8))
        exit(status)
    }
}
