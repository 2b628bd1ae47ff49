import ConfigurationForms
import DataPipeline
import Files
import Foundation
import Runs

extension TrainedModel {
    /// The prepared data that the model was trained on: in the folder `given`, or where its configuration says. Where the run was
    /// moved or is read from another folder than it was trained in, they are looked for beside it.
    ///
    /// - Throws: `DataError` if they cannot be read, `CommandFailure` if there are none, or others; `folder` is the run's.
    func corpus(of folder: String, at given: String? = nil) throws -> PreparedCorpus {
        try Self.corpus(of: folder, at: given, configuration, dataFingerprint)
    }

    /// The same of a model that is not loaded.
    static func corpus(
        of folder: String, at given: String? = nil, _ configuration: RunConfiguration, _ dataFingerprint: String
    ) throws -> PreparedCorpus {
        let tried = given.map { [$0] } ?? Self.places(of: configuration.data.prepared, run: folder)
        let present = tried.filter { RunFolder(path: $0).isPreparedData }
        for path in present {
            // Of places that were not named, one that cannot be read is none.
            guard let corpus = path == tried[0] ? try PreparedCorpus(path: path) : try? PreparedCorpus(path: path) else {
                continue
            }
            if corpus.fingerprint == dataFingerprint { return corpus }
        }
        guard let other = present.first, let corpus = try? PreparedCorpus(path: other) else {
            throw CommandFailure(
                .data,
                "\(tried[0]): must be a prepared folder, but has no \(PreparationManifest.fileName)"
                    + (tried.count > 1 ? ", nor has any of \(tried.dropFirst().joined(separator: ", "))" : "")
                    + ": name it with --data, or prepare again with strata prepare \(folder)/config.yaml")
        }
        throw CommandFailure(
            .data,
            "\(other): must be the data that the model was trained on (fingerprint \(dataFingerprint)), but is other data "
                + "(\(corpus.fingerprint)); name them with --data, or prepare again with strata prepare \(folder)/config.yaml")
    }

    /// Where the folder of a configuration may be: as it is written, and below the run's folder and the two that it lies in.
    private static func places(of path: String, run folder: String) -> [String] {
        let run = URL(fileURLWithPath: folder).standardizedFileURL
        let bases = [run, run.deletingLastPathComponent(), run.deletingLastPathComponent().deletingLastPathComponent()]
        let name = URL(fileURLWithPath: path).lastPathComponent
        var places = [path]
        for base in bases.map(\.path) {
            for place in (path.hasPrefix("/") ? [] : ["\(base)/\(path)"]) + ["\(base)/\(name)"] where !places.contains(place) {
                places.append(place)
            }
        }
        return places
    }

    /// The directions that the model was trained for.
    var directions: [Direction] { configuration.data.directions }

    /// - Parameter untrained: whether it may be between any two languages of the model.
    /// - Throws: `CommandFailure` for text that names no such direction.
    func direction(_ text: String, untrained: Bool = false) throws -> Direction {
        let named = Direction(text), languages = tokenizer.languages
        let isKnown = named.map { languages.contains($0.source) && languages.contains($0.target) } ?? false
        if let named, directions.contains(named) || untrained && isKnown { return named }
        if untrained {
            throw CommandFailure(
                .usage,
                "--direction must be between two of the model's languages (\(languages.joined(separator: ", "))), but is \(text)"
            )
        }
        let names = directions.map(\.description)
        let nearest = nearestName(to: text, among: names).map { "; did you mean \($0)?" } ?? "."
        throw CommandFailure(
            .usage,
            "--direction must be one that the model was trained for, but is \(text)\(nearest) "
                + "Directions: \(names.joined(separator: ", "))")
    }

    /// The directions that these texts name, all trained ones for none.
    ///
    /// - Throws: `CommandFailure` for text that names no such direction, and for a direction that is named twice.
    func directions(named names: [String], untrained: Bool = false) throws -> [Direction] {
        let named = try names.map { try direction($0, untrained: untrained) }
        if let repeated = named.indices.first(where: { named[..<$0].contains(named[$0]) }) {
            throw CommandFailure(.usage, "--direction must name a direction once, but names \(named[repeated]) twice")
        }
        return named.isEmpty ? directions : named
    }

    /// Those of `directions(named:)` that a split has text for; `report` is told which it has none for.
    ///
    /// - Throws: `CommandFailure`, also if there are none.
    func available(
        _ names: [String], _ corpus: PreparedCorpus, _ split: Split, untrained: Bool = false, report: (String) -> Void
    ) throws -> [Direction] {
        let chosen = try directions(named: names, untrained: untrained)
        let available = chosen.filter { corpus.pairs($0, split) > 0 }, missing = chosen.filter { corpus.pairs($0, split) == 0 }
        let missed = missing.map(\.description).joined(separator: ", ")
        guard !available.isEmpty else {
            throw CommandFailure(
                .data,
                "\(corpus.path): has no \(split.rawValue) split for \(missed); "
                    + "choose another --split, or add the files and prepare again")
        }
        if !missing.isEmpty { report("\(corpus.path): has no \(split.rawValue) split for \(missed): left out") }
        return available
    }
}
