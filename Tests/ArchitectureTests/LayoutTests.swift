import Foundation
import Testing

@Suite struct LayoutTests {
    /// `Tests/<Target>Tests` tests `Sources/<Target>`; this target alone looks at the whole.
    @Test func everyTestTargetTestsATarget() throws {
        let manager = FileManager.default
        let targets = try manager.contentsOfDirectory(atPath: SourceTree.root.appendingPathComponent("Sources").path)
        let tests = try manager.contentsOfDirectory(atPath: SourceTree.root.appendingPathComponent("Tests").path)
        for folder in tests where folder.hasSuffix("Tests") && folder != "ArchitectureTests" {
            #expect(
                targets.contains(String(folder.dropLast("Tests".count))),
                "Tests/\(folder) must be named after a target of Sources")
        }
    }

    /// What names a folder of one machine works on no other.
    @Test func noSourceNamesAFolderOfAMachine() throws {
        let folders = ["home", "Users", "root", "work", "mnt", "media", "tmp", "opt", "private"]
        let files = try SourceTree.files(in: "Sources", extensions: ["swift", "c", "cpp", "h", "modulemap"])
        for file in files {
            for folder in folders {
                // At the beginning of a path: what stands before the slash is no part of a longer one.
                for start in file.text.ranges(of: "/\(folder)/").map(\.lowerBound) where start > file.text.startIndex {
                    let before = file.text[file.text.index(before: start)]
                    #expect(
                        before.isLetter || before.isNumber || "._-/$})*~".contains(before),
                        "\(file.path) must name no folder of a machine, but has /\(folder)/")
                }
            }
        }
    }

    @Test func sourcesStandInTargetsAlone() throws {
        for file in try SourceTree.swiftFiles(in: "Sources") {
            #expect(file.path.split(separator: "/").count >= 3, "\(file.path) must be in a target's folder")
        }
    }
}
