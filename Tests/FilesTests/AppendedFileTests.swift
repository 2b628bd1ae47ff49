import Files
import Foundation
import Testing

@Suite struct AppendedFileTests {
    private let path = NSTemporaryDirectory() + "strata-appended-" + UUID().uuidString

    private func content() throws -> String { try String(contentsOfFile: path, encoding: .utf8) }

    @Test func recordsFollowWhatIsKept() throws {
        defer { unlink(path) }
        try FileWriter.write("kept, half a rec", to: path)
        let file = try AppendedFile(path: path, after: 5)
        #expect(try content() == "kept,")
        #expect(file.append(Data(" new".utf8)) == nil && file.append(Data()) == nil && file.append(Data("er".utf8)) == nil)
        #expect(file.sync() == nil)
        #expect(try content() == "kept, newer")
    }

    @Test func aFullDeviceIsSaidToBeFull() throws {
        let full = try AppendedFile(path: "/dev/full", after: 0)
        #expect(full.append(Data("a".utf8))?.description == "/dev/full: writing failed: No space left on device")
    }

    @Test func aFileThatCannotBeMadeOrSyncedIsAnError() throws {
        defer { unlink(path) }
        #expect(throws: FileError.self) { try AppendedFile(path: "\(path)/no/file", after: 0) }
        let file = try AppendedFile(path: path, after: 0)
        file.putOnDisk = { _ in
            errno = EIO
            return -1
        }
        #expect(file.sync()?.description == "\(path): writing failed: Input/output error")
    }
}
