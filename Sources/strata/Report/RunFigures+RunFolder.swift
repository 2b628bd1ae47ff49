import DataPipeline
import Evaluation
import Foundation
import Reporting
import TensorCore
import Training

extension RunFigures {
    /// Reads a run, which may be training meanwhile. What is not there yet is left out; what cannot be read is a problem that
    /// the report names.
    ///
    /// - Throws: `CommandFailure` if the folder is not a run's, `ConfigurationError` if its configuration cannot be used.
    init(_ folder: RunFolder, name: String) throws {
        let configuration = try RunConfiguration.load(file: folder.configuration)
        let mixture = configuration.model.mixture
        var problems: [String] = []
        self.init(
            name: name, method: configuration.model.methodName, parameters: folder.parameters,
            gates: mixture.map { $0.strata.indices.map($0.visibleExperts(atStratum:)) } ?? [],
            plannedUpdates: configuration.training.updates,
            directions: configuration.data.directions.map(\.description), configuration: configuration.values,
            history: TrainingHistory(jsonLines: Self.data(folder.metrics, &problems) ?? Data()),
            evaluations: [Split.test, .valid].compactMap {
                Self.read(EvaluationResult.self, folder.evaluation($0), &problems)
            },
            analysis: Self.read(RoutingAnalysis.self, folder.analysis, &problems))
        self.problems = problems
    }

    /// Nil if there is no such file.
    private static func read<Value: Decodable>(_ type: Value.Type, _ path: String, _ problems: inout [String]) -> Value? {
        guard let data = data(path, &problems) else { return nil }
        do {
            return try JSONDecoder().decode(type, from: data)
        } catch {
            problems.append("\(path) cannot be read: \(reason(error)). It is left out; write it again.")
            return nil
        }
    }

    private static func data(_ path: String, _ problems: inout [String]) -> Data? {
        guard FileManager.default.fileExists(atPath: path) else { return nil }
        do {
            return try Data(contentsOf: URL(fileURLWithPath: path))
        } catch {
            problems.append("\(path) cannot be read: \(error.localizedDescription). It is left out.")
            return nil
        }
    }

    private static func reason(_ error: any Error) -> String {
        func place(_ context: DecodingError.Context) -> String { context.codingPath.map(\.stringValue).joined(separator: ".") }
        switch error {
        case let DecodingError.keyNotFound(key, context):
            return "it has no \((context.codingPath + [key]).map(\.stringValue).joined(separator: "."))"
        case let DecodingError.typeMismatch(_, context), let DecodingError.valueNotFound(_, context):
            return "\(place(context)) has another type"
        default: return "it is not the JSON that strata writes"
        }
    }
}

extension RunFolder {
    /// Values of all parameters, as the headers of the newest checkpoint tell; nil while there is none.
    var parameters: Int? {
        let names = (try? FileManager.default.contentsOfDirectory(atPath: checkpoints)) ?? []
        let folders = names.filter { $0.hasPrefix("step-") }.sorted().reversed().map { "\(checkpoints)/\($0)" }
        return folders.lazy.compactMap(Self.parameters).first
    }

    /// Nil for a folder that is no sound checkpoint, or is being written or removed.
    private static func parameters(checkpoint folder: String) -> Int? {
        guard let manifest = try? CheckpointManifest(folder: folder) else { return nil }
        var count = 0
        for record in manifest.files {
            guard let file = try? SafeTensorsFile(path: "\(folder)/\(record.name)") else { return nil }
            for (name, entry) in file.entries where !name.hasPrefix("adam.") { count += entry.count }
        }
        return count
    }
}
