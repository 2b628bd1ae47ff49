import ConfigurationForms
import Foundation
import Runs
import _TestSupport

extension TemporaryFolder {
    func load(_ name: String, overrides: [String] = []) throws -> RunConfiguration {
        try RunConfiguration.load(file: "\(path)/\(name)", overrides: overrides)
    }

    /// What loading a file reports, a line a problem, without the folder's path; empty if it loads.
    func problems(_ name: String, overrides: [String] = []) throws -> [String] {
        do {
            _ = try load(name, overrides: overrides)
            return []
        } catch let error as ConfigurationError {
            return error.problems.map { $0.description.replacingOccurrences(of: "\(path)/", with: "") }
        }
    }
}

/// What a text alone, as the file a.yaml, reports.
func problems(_ text: String, overrides: [String] = []) throws -> [String] {
    let folder = TemporaryFolder()
    try folder.write("a.yaml", text)
    return try folder.problems("a.yaml", overrides: overrides)
}

/// The least that loads.
let minimalData = "data: {format: numerals, prepared: data/numerals}\n"
