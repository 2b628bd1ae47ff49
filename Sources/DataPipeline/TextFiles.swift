import Foundation

/// The parts that a folder holds, by the format's file names; other files are passed over.
///
/// - Throws: `DataError` for a folder that is missing or unreadable, or a file whose partner is missing.
func textFiles(in folder: String, format: DataConfiguration.Format) throws -> [ParallelText.Part] {
    var paths = try listing(of: folder).map { "\(folder)/\($0)" }
    if format == .opus100 {
        for path in paths where isDirectory(path) && Direction((path as NSString).lastPathComponent) != nil {
            paths += try listing(of: path).map { "\(path)/\($0)" }
        }
    }
    var parts: [String: ParallelText.Part] = [:]
    for path in paths where !isDirectory(path) {
        guard let name = TextFileName((path as NSString).lastPathComponent, format: format) else { continue }
        let key = "\(name.pair) \(Split.allCases.firstIndex(of: name.split)!)"
        guard let language = name.language else {
            parts[key] = ParallelText.Part(pair: name.pair, split: name.split, source: TabSeparatedFile(path: path))
            continue
        }
        let stem = path.dropLast(language.count)
        let files = AlignedFiles(source: stem + name.pair.source, target: stem + name.pair.target)
        for partner in files.files where !FileManager.default.fileExists(atPath: partner) {
            throw DataError(.text, "\(path): must have \(partner) beside it, but that file is missing")
        }
        if let other = parts[key], let source = other.source as? AlignedFiles, source.source != files.source {
            throw DataError(
                .text,
                "\(name.pair) \(name.split.rawValue) must be in one place, but is in \(source.source) and in "
                    + "\(files.source): remove one of them")
        }
        parts[key] = ParallelText.Part(pair: name.pair, split: name.split, source: files)
    }
    return parts.sorted { $0.key < $1.key }.map(\.value)
}

/// What a file's name says.
private struct TextFileName {
    let pair: Direction
    let split: Split
    /// nil where one file holds both languages.
    let language: String?

    init?(_ name: String, format: DataConfiguration.Format) {
        let fields = name.split(separator: ".", omittingEmptySubsequences: false).map(String.init)
        guard fields.count == 3 else { return nil }
        let pairText: String
        let splitText: String
        switch format {
        case .numerals: return nil
        case .moses, .tsv: (splitText, pairText) = (fields[0], fields[1])
        case .opus100:
            guard fields[0] == "opus", let hyphen = fields[1].lastIndex(of: "-") else { return nil }
            pairText = String(fields[1][..<hyphen])
            let name = String(fields[1][fields[1].index(after: hyphen)...])
            guard name != "valid" else { return nil }
            splitText = name == "dev" ? "valid" : name
        }
        guard let pair = Direction(pairText), let split = Split(rawValue: splitText) else { return nil }
        if format == .tsv {
            guard fields[2] == "tsv" else { return nil }
            language = nil
        } else {
            guard fields[2] == pair.source || fields[2] == pair.target else { return nil }
            language = fields[2]
        }
        self.pair = pair
        self.split = split
    }
}

extension DataConfiguration.Format {
    /// The names of the training files, for messages.
    var fileNames: String {
        switch self {
        case .numerals: "generated pairs of eng with data.numerals.languages"
        case .moses: "train.<src>-<tgt>.<lang>"
        case .tsv: "train.<src>-<tgt>.tsv"
        case .opus100: "opus.<src>-<tgt>-train.<lang>, here or in folders <src>-<tgt>"
        }
    }
}

private func listing(of folder: String) throws -> [String] {
    guard FileManager.default.fileExists(atPath: folder) else {
        throw DataError(.text, "data.path must be the folder of the text files, but \(folder) does not exist")
    }
    guard isDirectory(folder) else {
        throw DataError(.text, "data.path must be the folder of the text files, but \(folder) is a file")
    }
    do {
        return try FileManager.default.contentsOfDirectory(atPath: folder).sorted()
    } catch {
        throw DataError(.inputOutput, "\(folder): must be readable, but listing it failed: \(error.localizedDescription)")
    }
}

private func isDirectory(_ path: String) -> Bool {
    var directory: ObjCBool = false
    return FileManager.default.fileExists(atPath: path, isDirectory: &directory) && directory.boolValue
}
