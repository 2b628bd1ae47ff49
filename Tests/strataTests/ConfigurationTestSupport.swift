import Foundation

@testable import strata

/// A folder of configuration files that goes away with the value.
final class ConfigurationFolder {
    let path: String

    init() throws {
        path = FileManager.default.temporaryDirectory.appendingPathComponent("strata-configuration-\(UUID().uuidString)").path
        try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
    }

    deinit { try? FileManager.default.removeItem(atPath: path) }

    func write(_ name: String, _ text: String) throws { try write(name, Data(text.utf8)) }

    func write(_ name: String, _ bytes: Data) throws {
        let file = URL(fileURLWithPath: path).appendingPathComponent(name)
        try FileManager.default.createDirectory(at: file.deletingLastPathComponent(), withIntermediateDirectories: true)
        try bytes.write(to: file)
    }

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
    let folder = try ConfigurationFolder()
    try folder.write("a.yaml", text)
    return try folder.problems("a.yaml", overrides: overrides)
}

/// The least that loads.
let minimalData = "data: {format: numerals, prepared: data/numerals}\n"
