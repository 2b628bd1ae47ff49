import Collectives
import Files
import Foundation

/// The ranks' reports of what they do, a file a rank: `ranks/00003.json` of the run folder, which all hosts see. They outlive
/// a job that is killed, for whoever wants to know where each rank was.
final class RankFiles: RankBoard {
    private let folder: String
    private let rank: Int
    /// The descriptor of this rank's file.
    private let descriptor: Int32

    /// Removes what an earlier job has left: once, before any rank opens its own.
    static func clear(_ folder: String) throws {
        try? FileManager.default.removeItem(atPath: folder)
        try Folder.create(folder)
    }

    /// - Throws: `FileError` if the rank's file cannot be created.
    init(_ folder: String, rank: Int) throws {
        self.folder = folder
        self.rank = rank
        let path = Self.path(folder, rank)
        descriptor = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0o644)
        guard descriptor >= 0 else { throw FileError(path: path, while: "creating") }
    }

    deinit { if descriptor >= 0 { close(descriptor) } }

    /// Removes the file at a good end, and with the last one the folder.
    func remove() {
        unlink(Self.path(folder, rank))
        rmdir(folder)
    }

    /// Written over the report before, without a new file each time: on a shared file system that would be the dearer part.
    /// Training does not depend on it: what cannot be written is left out.
    func post(_ report: RankReport) {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys]
        guard let data = try? encoder.encode(report) + [UInt8(ascii: "\n")] else { return }
        let written = data.withUnsafeBytes { pwrite(descriptor, $0.baseAddress, $0.count, 0) }
        if written == data.count { ftruncate(descriptor, off_t(data.count)) }
    }

    func report(of rank: Int) -> RankReport? {
        guard let data = FileManager.default.contents(atPath: Self.path(folder, rank)) else { return nil }
        return try? JSONDecoder().decode(RankReport.self, from: data)
    }

    private static func path(_ folder: String, _ rank: Int) -> String {
        "\(folder)/\(String(UInt(rank), digits: 5)).json"
    }
}
