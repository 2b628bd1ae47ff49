import Files
import Foundation

/// What a preparation has finished, noted in its partial folder: one that was interrupted is gone on with.
struct PreparationJournal {
    static let fileName = "progress.json"

    private struct Finished: Codable {
        let part: PreparationManifest.Part
        let files: [FileRecord]
    }

    private struct Content: Codable {
        let fingerprint: String
        var tokenizer: FileRecord?
        var parts: [Finished] = []
    }

    private let folder: String
    private var content: Content

    /// The journal of a preparation of the same text and settings, as far as its files are there; otherwise an empty one.
    init(folder: String, fingerprint: String) {
        self.folder = folder
        content = Content(fingerprint: fingerprint)
        guard let data = FileManager.default.contents(atPath: "\(folder)/\(Self.fileName)"),
            let found = try? JSONDecoder().decode(Content.self, from: data), found.fingerprint == fingerprint,
            let tokenizer = found.tokenizer, isWhole(tokenizer)
        else { return }
        content.tokenizer = tokenizer
        content.parts = found.parts.filter { $0.files.allSatisfy(isWhole) }
    }

    var fingerprint: String { content.fingerprint }
    var hasTokenizer: Bool { content.tokenizer != nil }
    /// The names of the files that are finished.
    var names: [String] { ([content.tokenizer].compactMap { $0 } + content.parts.flatMap(\.files)).map(\.name) }

    func part(_ part: ParallelText.Part) -> PreparationManifest.Part? { finished(part)?.part }

    /// All files, in the order of the parts, whichever was finished first.
    func files(of parts: [ParallelText.Part]) -> [FileRecord] {
        [content.tokenizer].compactMap { $0 } + parts.flatMap { finished($0)?.files ?? [] }
    }

    private func finished(_ part: ParallelText.Part) -> Finished? {
        content.parts.first { $0.part.pair == part.pair.description && $0.part.split == part.split }
    }

    mutating func add(tokenizer: FileRecord) throws {
        content.tokenizer = tokenizer
        try write()
    }

    mutating func add(_ part: PreparationManifest.Part, _ files: [FileRecord]) throws {
        content.parts.append(Finished(part: part, files: files))
        try write()
    }

    func remove() throws { try FileManager.default.removeItem(atPath: "\(folder)/\(Self.fileName)") }

    private func write() throws {
        let encoder = JSONEncoder()
        encoder.outputFormatting = .sortedKeys
        try FileWriter.replace("\(folder)/\(Self.fileName)", with: encoder.encode(content))
    }

    private func isWhole(_ file: FileRecord) -> Bool {
        (try? Checksum.text(ofFile: "\(folder)/\(file.name)")) == file.checksum
    }
}
