import DataPipeline
import Evaluation
import Foundation
import MixtureOfExperts
import Planning
import Reporting
import Runs

extension RunFigures {
    /// Reads a run, which may be training meanwhile. What is not there yet is left out; what cannot be read is a problem that
    /// the report names.
    ///
    /// - Throws: `CommandFailure` if the folder is not a run's, `ConfigurationError` if its configuration cannot be used.
    init(_ folder: RunFolder, name: String) throws {
        let configuration = try RunConfiguration.load(file: folder.configuration)
        let mixture = configuration.model.mixture?.widest
        // The tokenizer is there before the first update; the vocabulary asked for may be larger than the text allowed.
        let vocabulary = try? Tokenizer(modelFile: folder.tokenizer).vocabularySize
        let plan = try vocabulary.map { try ModelPlan(configuration.model, vocabulary: $0) }
        var problems: [String] = []
        self.init(
            name: name, method: configuration.model.methodName, parameters: plan?.parameters,
            flopsPerToken: plan?.flopsPerToken,
            gates: mixture.map { $0.strata.indices.map($0.visibleExperts(atStratum:)) } ?? [],
            figureTitles: Dictionary(
                (mixture?.losses ?? []).map { (type(of: $0).figure, type(of: $0).title) },
                uniquingKeysWith: { first, _ in first }),
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
