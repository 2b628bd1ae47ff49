import Foundation

/// The executables that were built together with the running tests.
public enum BuiltProducts {
    public struct NotFound: Error, CustomStringConvertible {
        public let description: String
    }

    /// The path of an executable product or target of this package.
    public static func path(_ name: String) throws -> String {
        for folder in folders {
            let path = folder.appendingPathComponent(name).path
            if FileManager.default.isExecutableFile(atPath: path) { return path }
        }
        throw NotFound(
            description: "\(name) must be built beside the tests, but is in none of "
                + "\(folders.map(\.path).joined(separator: ", ")); run `swift build --product \(name)`")
    }

    /// Where the tests themselves lie, however they were started; the package's build folder last.
    private static var folders: [URL] {
        var folders: [URL] = []
        if let executable = try? FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/exe") {
            folders.append(URL(fileURLWithPath: executable).deletingLastPathComponent())
        }
        // A testing helper gets the test bundle as an argument.
        for argument in CommandLine.arguments {
            var url = URL(fileURLWithPath: argument)
            while url.pathComponents.count > 1, url.pathExtension != "xctest" { url.deleteLastPathComponent() }
            if url.pathExtension == "xctest" { folders.append(url.deletingLastPathComponent()) }
        }
        let package = URL(fileURLWithPath: #filePath)
            .deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()
        #if DEBUG
        folders.append(package.appendingPathComponent(".build/debug"))
        #else
        folders.append(package.appendingPathComponent(".build/release"))
        #endif
        return folders
    }
}
