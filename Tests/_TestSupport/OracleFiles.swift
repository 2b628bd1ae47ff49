import Autograd
import Files
import Foundation

/// Reference results: the safetensors files of STRATA_ORACLE_DIR, or else of Tests/Fixtures.
public enum OracleFiles {
    public static var directory: String {
        ProcessInfo.processInfo.environment["STRATA_ORACLE_DIR"]
            ?? URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
            .appendingPathComponent("Fixtures").path
    }

    /// The names of the files that begin with `prefix`, sorted.
    public static func names(_ prefix: String) -> [String] {
        let all = (try? FileManager.default.contentsOfDirectory(atPath: directory)) ?? []
        return all.filter { $0.hasPrefix(prefix) && $0.hasSuffix(".safetensors") }.sorted()
    }

    public static func open(_ name: String) throws -> SafeTensorsFile {
        try SafeTensorsFile(path: "\(directory)/\(name)")
    }
}

/// A check that did not hold, with what was compared.
public struct Disagreement: Error, CustomStringConvertible {
    public let description: String
    public init(_ description: String) { self.description = description }
}

extension SafeTensorsFile {
    /// The largest entry of all gradients in the file. A gradient that is zero by its nature (a key's bias) has only rounding
    /// errors to show, which are to be measured against the others.
    public var largestGradient: Float {
        entries.keys.filter { $0.hasPrefix("grad.") }.reduce(0) { largest, name in
            (floats(name) ?? []).reduce(largest) { max($0, abs($1)) }
        }
    }
}

/// Throws unless every element of `actual` is within `tolerance` × the largest entry of `expected`, or × `floor` if that is
/// larger.
public func expectClose(
    _ actual: [Float], _ expected: [Float], tolerance: Float, floor: Float = 1e-6, _ what: String
) throws {
    guard actual.count == expected.count else {
        throw Disagreement("\(what): \(actual.count) values, \(expected.count) expected")
    }
    let scale = max(expected.reduce(0) { max($0, abs($1)) }, floor)
    for (index, (a, e)) in zip(actual, expected).enumerated() where !(abs(a - e) <= tolerance * scale) {
        throw Disagreement("\(what)[\(index)] is \(a), \(e) expected (largest entry \(scale))")
    }
}

extension ParameterStore {
    /// Sets every slice that this rank holds from `<prefix><name>` of a file.
    public func load(_ file: SafeTensorsFile, prefix: String) throws {
        try forEachSlice { name, _, values, _ in
            guard let stored = file.floats(prefix + name), stored.count == values.count else {
                throw Disagreement("\(file.path) has no fitting \(prefix + name)")
            }
            for (index, value) in stored.enumerated() { values[index] = value }
        }
    }

    /// Calls `body(name, placement, values, gradients)` for every slice.
    public func forEachSlice(
        _ body: (String, ParameterPlacement, UnsafeMutableBufferPointer<Float>, UnsafeMutableBufferPointer<Float>) throws ->
            Void
    ) throws {
        for placement in ParameterPlacement.allCases {
            let section = section(placement)
            for location in locations(placement) {
                try body(
                    location.slice.name, placement, UnsafeMutableBufferPointer(rebasing: section.values.buffer[location.range]),
                    UnsafeMutableBufferPointer(rebasing: section.gradients.buffer[location.range]))
            }
        }
    }
}
