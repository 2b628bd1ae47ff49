import Files
import Foundation

/// Everything that decides the content of a prepared folder. Paths are no part of it: the same text elsewhere is the same.
private struct FingerprintContent: Encodable {
    struct Text: Encodable {
        let name: String
        let size: Int
        let checksum: String
    }

    let version: Int
    let format: String
    let directions: [String]
    let vocabulary: Int
    let characterCoverage: Double
    let tokenizerSentences: Int
    let maximumLength: Int
    let policies: [String]
    let numerals: [String]
    let texts: [Text]
}

func preparationFingerprint(
    _ configuration: DataConfiguration, directions: [Direction], inputs: [PreparationManifest.Input]
) throws -> String {
    let numerals = configuration.numerals
    let content = FingerprintContent(
        version: PreparationManifest.version,
        format: configuration.format.rawValue,
        directions: directions.map(\.description),
        vocabulary: configuration.vocabulary,
        characterCoverage: configuration.characterCoverage,
        tokenizerSentences: configuration.tokenizerSentences,
        maximumLength: configuration.maximumLength,
        policies: [configuration.emptyLines, configuration.longSentences, configuration.invalidText].map(\.rawValue),
        numerals: configuration.format != .numerals
            ? []
            : ["\(numerals.below) \(numerals.pairs) \(numerals.validation) \(numerals.test) \(numerals.seed)"]
                + numerals.languages.map { "\($0) \(numerals.pairsByLanguage[$0] ?? numerals.pairs)" },
        texts: inputs.map { FingerprintContent.Text(name: $0.name, size: $0.size, checksum: $0.checksum) })
    let encoder = JSONEncoder()
    encoder.outputFormatting = .sortedKeys
    return Checksum.text(of: try encoder.encode(content))
}

/// Size, time of change and checksum of every file; one that `known` has with the same size and time is not read again.
func examine(
    _ paths: [String], known: [PreparationManifest.Input], progress: (Int) -> Void
) throws -> [PreparationManifest.Input] {
    try paths.enumerated().map { index, path in
        var status = stat()
        guard stat(path, &status) == 0 else {
            throw DataError(.inputOutput, "\(path): must be a readable file, but examining it failed: \(lastSystemError())")
        }
        let name = (path as NSString).lastPathComponent
        let size = Int(status.st_size)
        // The time of status change: unlike that of modification it survives neither unpacking nor copying over.
        let changed = status.st_ctim.tv_sec * 1_000_000_000 + status.st_ctim.tv_nsec
        progress(index)
        if let input = known.first(where: { $0.name == name && $0.size == size && $0.changed == changed }) {
            return input
        }
        return PreparationManifest.Input(
            name: name, size: size, changed: changed, checksum: try Checksum.text(ofFile: path))
    }
}
