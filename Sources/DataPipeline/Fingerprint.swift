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
    // Settings that came later are left out at their defaults, so that data of before keep their fingerprint. Should a tokenizer
    // come out otherwise than then all the same, a run that is resumed on it is refused.
    let tokenizerTemperature: Double?
    let normalization: String?
    let byteFallback: Bool?
    let filters: [String]?
    let fields: [String]?
    let corpora: [String]?
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
        texts: inputs.map { FingerprintContent.Text(name: $0.name, size: $0.size, checksum: $0.checksum) },
        tokenizerTemperature: configuration.tokenizerTemperature == 5 ? nil : configuration.tokenizerTemperature,
        normalization: configuration.normalization == .none ? nil : configuration.normalization.rawValue,
        byteFallback: configuration.byteFallback ? true : nil,
        filters: configuration.filters.settings,
        fields: configuration.format == .jsonl ? [configuration.fields.source, configuration.fields.target] : nil,
        corpora: configuration.corpora.isEmpty ? nil : configuration.corpusNames)
    let encoder = JSONEncoder()
    encoder.outputFormatting = .sortedKeys
    return Checksum.text(of: try encoder.encode(content))
}

extension FilterConfiguration {
    /// nil where nothing is filtered.
    fileprivate var settings: [String]? {
        self == Self.none ? nil : ["\(lengthRatio)", duplicates.rawValue, identical.rawValue, heldOut.rawValue]
    }
}

/// The fingerprints that data prepared by a configuration may have, the one of today first.
///
/// Until `data.tokenizer_sentences` became 200,000 it was 2,000,000 by default: data of then are as good as ever.
func acceptedFingerprints(
    _ configuration: DataConfiguration, directions: [Direction], inputs: [PreparationManifest.Input]
) throws -> [String] {
    var earlier = configuration
    earlier.tokenizerSentences = 2_000_000
    let isDefault = configuration.tokenizerSentences == DataConfiguration(format: .numerals, prepared: "").tokenizerSentences
    return try ([configuration] + (isDefault ? [earlier] : [])).map {
        try preparationFingerprint($0, directions: directions, inputs: inputs)
    }
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
