import Files
import Foundation
import Testing

/// Files that cannot be written or read, and folders.
@Suite struct FileTests {
    private let folder = NSTemporaryDirectory() + "strata-files-" + UUID().uuidString

    private func withFolder(_ body: () throws -> Void) throws {
        try Folder.createEmpty(folder)
        defer { try? FileManager.default.removeItem(atPath: folder) }
        try body()
    }

    @Test func aFullDeviceIsAnErrorNamingIt() throws {
        let writer = try FileWriter(path: "/dev/full")
        try writer.write("something")
        let error = #expect(throws: FileError.self) { try writer.finish() }
        #expect(error?.description == "/dev/full: writing failed: No space left on device")
    }

    @Test func aFileIsReadAnywhere() throws {
        try withFolder {
            let path = "\(folder)/file", bytes = Data((0..<100).map { UInt8($0) })
            try bytes.write(to: URL(fileURLWithPath: path))
            let file = try FileReader(path: path)
            #expect(file.size == 100)
            #expect(try file.contents() == bytes)
            var part = [UInt8](repeating: 0, count: 10)
            try part.withUnsafeMutableBytes { try file.read(at: 90, into: $0) }
            #expect(part == Array(90..<100))
            let error = #expect(throws: FileError.self) { try part.withUnsafeMutableBytes { try file.read(at: 95, into: $0) } }
            #expect(error?.reason == "reading failed: the file ends at byte 100")
        }
    }

    @Test func foldersPipesAndWhatIsNotThereAreNoFiles() throws {
        try withFolder {
            #expect(throws: FileError(path: folder, reason: "must be a regular file, but is a folder, a device or a pipe")) {
                try FileReader(path: folder)
            }
            try #require(mkfifo("\(folder)/pipe", 0o600) == 0)
            #expect(throws: FileError.self) { try FileReader(path: "\(folder)/pipe") }
            #expect(throws: FileError.self) { try MappedFile(path: "\(folder)/pipe") }
            #expect(throws: FileError.self) { try Checksum.text(ofFile: "\(folder)/pipe") }
            #expect(throws: FileError.self) { try Checksum.text(ofFile: "/dev/zero") }
            #expect(throws: FileError.self) { try FileReader(path: "\(folder)/none") }
        }
    }

    @Test(arguments: [
        ("a", ""), ("a/", ""), ("", ""), ("a/b", "a"), ("a/b/", "a"), ("a//b", "a"), ("ab/c/d", "ab/c"), ("/a", "/"),
        ("/a/b", "/a"),
        ("/", "/"), ("//", "/"), ("./a", "."), ("../a", ".."),
    ])
    func theFolderThatAPathLiesIn(path: String, parent: String) {
        #expect(path.parentFolder == parent)
    }

    @Test func aFileIsReplacedAsAWholeOrNotAtAll() throws {
        try withFolder {
            let path = "\(folder)/file"
            for text in ["one", "two"] {
                try FileWriter.replace(path, with: text)
                #expect(try String(contentsOfFile: path, encoding: .utf8) == text)
            }
            for (path, reason) in [
                (folder, "must be a file, but is a folder, a device or a pipe; name another"),
                ("/dev/null", "must be a file, but is a folder, a device or a pipe; name another"),
                ("\(folder)/none/file", "creating failed: No such file or directory"),
            ] {
                #expect(throws: FileError(path: path, reason: reason)) { try FileWriter.replace(path, with: "three") }
            }
            #expect(try FileManager.default.contentsOfDirectory(atPath: folder) == ["file"])
        }
    }

    @Test func aFolderIsEmptied() throws {
        try withFolder {
            try Folder.create("\(folder)/a/b")
            try Data().write(to: URL(fileURLWithPath: "\(folder)/a/file"))
            try Folder.createEmpty("\(folder)/a")
            #expect(try FileManager.default.contentsOfDirectory(atPath: "\(folder)/a").isEmpty)
            try Folder.sync(folder)
            #expect(throws: FileError.self) { try Folder.sync("\(folder)/none") }
        }
    }
}
