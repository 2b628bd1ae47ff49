import Foundation

/// The text that a folder holds, by the format's file names.
struct TextFiles {
    private(set) var parts: [ParallelText.Part] = []
    /// Files that look like text of the format and are not used, and why: `path: not used: …`.
    private(set) var unused: [String] = []
    /// Names of everything else.
    private(set) var others: [String] = []

    /// One split of one pair, which files belong to.
    private struct Place: Hashable {
        let pair: Direction
        let split: Split
        /// The path up to the language, or the whole path where one file holds both.
        let stem: String
    }

    /// The configuration's key that names the folder.
    private let key: String
    private let format: DataConfiguration.Format
    private let fields: FieldNames
    /// Each place's files: by language, the path that is read; the language is empty where one file holds both.
    private var found: [Place: [String: String]] = [:]

    /// - Throws: `DataError` for a folder that is missing or unreadable, a file of the format that is no plain file, or one whose
    ///   partner is missing.
    init(
        folder: String, key: String = "data.path", format: DataConfiguration.Format, fields: FieldNames = FieldNames()
    ) throws {
        (self.key, self.format, self.fields) = (key, format, fields)
        for name in try listing(of: folder, key) { try take(name, in: folder) }
        parts = try makeParts()
    }

    private mutating func take(_ name: String, in folder: String, isNested: Bool = false) throws {
        let path = "\(folder)/\(name)"
        let (plain, _) = Compression.split(name)
        if isFolder(path), TextFileName(plain, format: format) == nil {
            if !isNested { try takeFolder(name, path) }
        } else if let file = TextFileName(plain, format: format) {
            if let fault = fileFault(path) { throw DataError(.text, "\(path): must be a readable file, but is \(fault)") }
            let full = "\(folder)/\(plain)"
            let stem = file.language.map { String(full.dropLast($0.count)) } ?? full
            let place = Place(pair: file.pair, split: file.split, stem: stem), language = file.language ?? ""
            // Names come in order, the plain one before what it was compressed to.
            if let other = found[place]?[language] {
                unused.append("\(path): not used: \(other) is there, of the same name; remove one of them")
            } else {
                found[place, default: [:]][language] = path
            }
        } else if let fault = NearTextFileName(format: format).fault(name) {
            unused.append("\(path): not used: \(fault)")
        } else {
            others.append(name)
        }
    }

    private mutating func takeFolder(_ name: String, _ path: String) throws {
        guard format == .opus100, Direction(name) != nil else {
            // Only to say what lies there: a folder that cannot be listed is none of ours.
            let names = (try? listing(of: path, key)) ?? []
            if let text = names.first(where: { TextFileName(Compression.split($0).name, format: format) != nil }) {
                unused.append("\(path)/\(text) and what is beside it: not used: \(elsewhere)")
            } else {
                others.append(name)
            }
            return
        }
        for name in try listing(of: path, key) { try take(name, in: path, isNested: true) }
    }

    private var elsewhere: String {
        format == .opus100
            ? "a folder must be named for its pair, <src>-<tgt>"
            : "folders in \(key) are not looked into: name it in \(key)"
    }

    private func makeParts() throws -> [ParallelText.Part] {
        var parts: [String: (stem: String, part: ParallelText.Part)] = [:]
        for (place, paths) in found.sorted(by: { $0.key.stem < $1.key.stem }) {
            let key = "\(place.pair) \(Split.allCases.firstIndex(of: place.split)!)"
            if let other = parts[key] {
                throw DataError(
                    .text,
                    "\(place.pair) \(place.split.rawValue) must be in one place, but is in \(other.stem) and in \(place.stem): "
                        + "remove one of them")
            }
            parts[key] = (
                place.stem, ParallelText.Part(pair: place.pair, split: place.split, source: try source(place, paths))
            )
        }
        return parts.sorted { $0.key < $1.key }.map(\.value.part)
    }

    private func source(_ place: Place, _ paths: [String: String]) throws -> any PairSource {
        if let path = paths[""] {
            return format == .jsonl
                ? JSONLinesFile(path: path, pair: place.pair, fields: fields) : TabSeparatedFile(path: path)
        }
        guard let source = paths[place.pair.source], let target = paths[place.pair.target] else {
            let (language, path) = paths.first!
            let partner = place.stem + (language == place.pair.source ? place.pair.target : place.pair.source)
            let near = unused.filter { $0.hasPrefix(place.stem) }.map { "; \($0)" }.joined()
            throw DataError(.text, "\(path): must have \(partner) beside it, but that file is missing\(near)")
        }
        return AlignedFiles(source: source, target: target)
    }
}

/// What a path is if it is no plain file that can be read any number of times; nil for one that is.
private func fileFault(_ path: String) -> String? {
    var status = stat()
    guard stat(path, &status) == 0 else {
        let (code, reason) = (errno, lastSystemError())
        guard let destination = try? FileManager.default.destinationOfSymbolicLink(atPath: path) else { return reason }
        return "a link to \(destination), " + (code == ENOENT ? "which does not exist" : "which leads nowhere (\(reason))")
    }
    return switch status.st_mode & S_IFMT {
    case S_IFREG: nil
    case S_IFDIR: "a folder"
    case S_IFIFO: "a pipe: write the text into a file"
    case S_IFSOCK: "a socket"
    default: "a device"
    }
}

private func listing(of folder: String, _ key: String) throws -> [String] {
    guard FileManager.default.fileExists(atPath: folder) else {
        let link = try? FileManager.default.destinationOfSymbolicLink(atPath: folder)
        throw DataError(
            .text,
            "\(key) must be the folder of the text files, but \(folder) "
                + (link.map { "is a link to \($0), which does not exist" } ?? "does not exist"))
    }
    guard isFolder(folder) else {
        throw DataError(.text, "\(key) must be the folder of the text files, but \(folder) is a file")
    }
    do {
        return try FileManager.default.contentsOfDirectory(atPath: folder).sorted()
    } catch {
        throw DataError(.inputOutput, "\(folder): must be readable, but listing it failed: \(error.localizedDescription)")
    }
}

private func isFolder(_ path: String) -> Bool {
    var directory: ObjCBool = false
    return FileManager.default.fileExists(atPath: path, isDirectory: &directory) && directory.boolValue
}
