import Checkpoints
import ConfigurationForms
import DataPipeline
import Files
import Foundation
import Runs
import Training

/// One training run of a sweep: a configuration with a seed.
public struct SweepJob {
    /// Names of the sweep's run and of the job, which has the seed in it.
    let run: String
    let name: String
    let configuration: RunConfiguration
    let out: String

    /// The folder that `strata train` writes.
    public var folder: RunFolder { RunFolder(path: "\(out)/\(name)") }
    /// The resolved configuration.
    var configurationFile: String { "\(out)/configurations/\(name).yaml" }
    /// What the job's commands print on standard error.
    var log: String { "\(out)/logs/\(name).log" }
    var recordFile: String { "\(folder.path)/sweep.json" }

    /// Every run with every seed, in the order of the specification, a seed at a time: comparisons are complete early.
    ///
    /// - Throws: `ConfigurationError` with all problems of all configurations.
    public static func jobs(
        _ specification: SweepSpecification, file: String, threads: Int?
    ) throws -> [SweepJob] {
        var problems: [ConfigurationError.Problem] = [], jobs: [SweepJob] = []
        let seeds = specification.runs.map(specification.seeds)
        for round in 0..<(seeds.map(\.count).max() ?? 0) {
            for (run, seeds) in zip(specification.runs, seeds) where round < seeds.count {
                let seed = seeds[round]
                let overrides =
                    run.set + (seed.map { ["training.seed=\($0)"] } ?? [])
                    + (threads.map { ["parallel.threads_per_rank=\($0)"] } ?? [])
                guard let path = run.config ?? specification.base else { preconditionFailure("checked when it was read") }
                do {
                    let configuration = try RunConfiguration.load(file: relative(path, to: file), overrides: overrides)
                    jobs.append(
                        SweepJob(
                            run: run.name, name: SweepSpecification.name(run, seed: seed), configuration: configuration,
                            out: specification.out))
                } catch let error as ConfigurationError {
                    // A problem of a configuration is one for each seed.
                    problems += error.problems.filter { !problems.contains($0) }
                }
            }
        }
        problems += problemsOfData(jobs, file: file)
        guard problems.isEmpty else { throw ConfigurationError(problems) }
        return jobs
    }

    /// All data are prepared before the first training begins: what jobs prepare in the same folder must be the same.
    private static func problemsOfData(_ jobs: [SweepJob], file: String) -> [ConfigurationError.Problem] {
        var firsts: [String: SweepJob] = [:], problems: [ConfigurationError.Problem] = []
        for job in jobs {
            let folder = URL(fileURLWithPath: job.configuration.data.prepared).standardizedFileURL.path
            guard let first = firsts[folder] else {
                firsts[folder] = job
                continue
            }
            guard first.preparation != job.preparation else { continue }
            let problem = ConfigurationError.Problem(
                origin: .init(source: file, line: nil),
                text:
                    "runs \(first.run) and \(job.run) prepare different data in \(job.configuration.data.prepared): give each "
                    + "a data.prepared of its own")
            if !problems.contains(problem) { problems.append(problem) }
        }
        return problems
    }

    /// What the content of `data.prepared` depends on, as `path: value`; where its text lies does not matter.
    private var preparation: [String] {
        configuration.values
            .filter { value in
                value.path.hasPrefix("data.") && !Self.settingsOfTraining.contains { value.path.hasPrefix($0) }
            }
            .map { "\($0.path): \($0.value)" }
    }

    private static let settingsOfTraining = [
        "data.prepared", "data.path", "data.temperature", "data.subword_sampling", "data.weights", "data.stages",
    ]

    private static func relative(_ path: String, to file: String) -> String {
        let folder = file.parentFolder
        return path.hasPrefix("/") || folder.isEmpty ? path : (folder as NSString).appendingPathComponent(path)
    }

    /// Makes sure that what has been trained in the folder was trained as the job asks. `strata train --resume` would go on with
    /// it whatever it is, and what is finished would count as the job's.
    ///
    /// - Throws: `RunError` naming what differs; errors of reading the earlier configuration, or the prepared data.
    func checkFolder() throws {
        guard try !CheckpointStore.steps(folder.checkpoints).isEmpty else { return }
        var earlier = try RunConfiguration.load(file: folder.configuration), wanted = configuration
        // As training resolves them.
        if wanted.data.directions.isEmpty { wanted.data.directions = try PreparedCorpus(path: wanted.data.prepared).directions }
        // What may change between the parts of a run: none of it says what is learned, and more updates are gone on to.
        earlier.parallel = wanted.parallel
        earlier.checkpoint = wanted.checkpoint
        earlier.training.maxMinutes = wanted.training.maxMinutes
        earlier.training.updates = max(earlier.training.updates, wanted.training.updates)
        let differences = wanted.differences(from: earlier)
        guard differences.isEmpty else {
            throw RunError(
                .usage,
                "\(folder.path) was trained under another configuration (\(differences.joined(separator: ", "))): "
                    + "remove the folder or name another out")
        }
    }

    /// Writes the configuration where the commands read it.
    func writeConfiguration() throws {
        for path in [configurationFile, log] { try Folder.create(path.parentFolder) }
        try FileWriter.write(configuration.yaml(), to: configurationFile)
    }

    /// Updates done, as the newest checkpoint says.
    var updates: Int { (try? CheckpointStore.steps(folder.checkpoints))?.last ?? 0 }

    /// The last of the run's metrics that are an update's, for progress.
    var latestMetrics: UpdateMetrics? { latest() }

    /// The last of the run's metrics that are a validation's: of a run that is done, those after its last update.
    var latestValidation: ValidationMetrics? { latest() }

    private func latest<Metrics: Decodable>() -> Metrics? {
        guard let file = FileHandle(forReadingAtPath: folder.metrics), let end = try? file.seekToEnd() else { return nil }
        defer { try? file.close() }
        try? file.seek(toOffset: end > 65_536 ? end - 65_536 : 0)
        guard let data = try? file.readToEnd() else { return nil }
        return data.split(separator: UInt8(ascii: "\n")).suffix(4).reversed().lazy
            .compactMap { try? JSONDecoder().decode(Metrics.self, from: $0) }.first
    }
}
