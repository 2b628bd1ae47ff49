import Foundation
import TensorCore
import Training

/// One training run of a sweep: a configuration with a seed.
struct SweepJob {
    /// Of the sweep's run, and of the job: with the seed.
    let run: String
    let name: String
    let configuration: RunConfiguration
    let out: String

    /// The folder that `strata train` writes.
    var folder: RunFolder { RunFolder(path: "\(out)/\(name)") }
    /// The resolved configuration.
    var configurationFile: String { "\(out)/configurations/\(name).yaml" }
    /// What the job's commands print on standard error.
    var log: String { "\(out)/logs/\(name).log" }
    var recordFile: String { "\(folder.path)/sweep.json" }

    /// Every run with every seed, in the order of the specification, a seed at a time: comparisons are complete early.
    ///
    /// - Throws: `ConfigurationError` with all problems of all configurations.
    static func jobs(
        _ specification: SweepSpecification, file: String, threads: Int?
    ) throws -> [SweepJob] {
        var problems: [ConfigurationError.Problem] = [], jobs: [SweepJob] = []
        let seeds = specification.seeds.isEmpty ? [nil] : specification.seeds.map(Optional.some)
        for seed in seeds {
            for run in specification.runs {
                let overrides = run.set + (seed.map { ["training.seed=\($0)"] } ?? [])
                    + (threads.map { ["parallel.threads_per_rank=\($0)"] } ?? [])
                guard let path = run.config ?? specification.base else { preconditionFailure("checked when it was read") }
                do {
                    let configuration = try RunConfiguration.load(file: relative(path, to: file), overrides: overrides)
                    jobs.append(SweepJob(
                        run: run.name, name: run.name + (seed.map { "-seed-\($0)" } ?? ""), configuration: configuration,
                        out: specification.out))
                } catch let error as ConfigurationError {
                    // A problem of a configuration is one for each seed.
                    problems += error.problems.filter { !problems.contains($0) }
                }
            }
        }
        guard problems.isEmpty else { throw ConfigurationError(problems) }
        return jobs
    }

    private static func relative(_ path: String, to file: String) -> String {
        let folder = (file as NSString).deletingLastPathComponent
        return path.hasPrefix("/") || folder.isEmpty ? path : (folder as NSString).appendingPathComponent(path)
    }

    /// Writes the configuration where the commands read it.
    func writeConfiguration() throws {
        for path in [configurationFile, log] { try Folder.create((path as NSString).deletingLastPathComponent) }
        let writer = try FileWriter(path: configurationFile)
        try writer.write(configuration.yaml())
        _ = try writer.finish()
    }

    /// Updates done, as the newest checkpoint says.
    var updates: Int { (try? CheckpointStore.steps(folder.checkpoints))?.last ?? 0 }

    /// The last line of the run's metrics that is an update's, for progress.
    var latestMetrics: UpdateMetrics? {
        guard let file = FileHandle(forReadingAtPath: folder.metrics), let end = try? file.seekToEnd() else { return nil }
        defer { try? file.close() }
        try? file.seek(toOffset: end > 65_536 ? end - 65_536 : 0)
        guard let data = try? file.readToEnd() else { return nil }
        return data.split(separator: UInt8(ascii: "\n")).suffix(4).reversed().lazy
            .compactMap { try? JSONDecoder().decode(UpdateMetrics.self, from: $0) }.first
    }
}
