import Testing

/// A method is one file: the frame and the program know it by the questions it answers, and All.swift lists it.
@Suite struct MethodTests {
    private static let folder = "Sources/MixtureMethods/"

    /// The words of Swift code, comments left out.
    static func words(of text: String) -> Set<Substring> {
        var words: Set<Substring> = []
        for line in text.split(whereSeparator: \.isNewline) {
            let code = line.ranges(of: "//").first.map { line[..<$0.lowerBound] } ?? line
            words.formUnion(code.split { !$0.isLetter && !$0.isNumber && $0 != "_" })
        }
        return words
    }

    @Test func noFileNamesTheMethodOfAnother() throws {
        let files = try SourceTree.swiftFiles(in: "Sources")
        let methods = files.filter { $0.path.hasPrefix(Self.folder) && !$0.path.hasSuffix("/All.swift") }
        #expect(methods.count > 10)
        let list = try #require(files.first { $0.path == Self.folder + "All.swift" })
        for method in methods {
            let name = method.path.dropFirst(Self.folder.count).dropLast(".swift".count)
            #expect(Self.words(of: method.text).contains(name), "\(method.path) must hold \(name)")
            #expect(Self.words(of: list.text).contains(name), "All.swift must list \(name)")
            for file in files where file.path != method.path && file.path != list.path {
                #expect(
                    !Self.words(of: file.text).contains(name),
                    "\(file.path) must not name \(name): ask the configuration's methods for what it answers")
            }
        }
    }

    /// What tests a method goes with it, and nothing else does: the tests of the frame name no method, those of a method no other.
    @Test func testsAreAFileAMethod() throws {
        let methods = Set(
            try SourceTree.swiftFiles(in: "Sources").map(\.path)
                .filter { $0.hasPrefix(Self.folder) && !$0.hasSuffix("/All.swift") }
                .map { Substring($0.dropFirst(Self.folder.count).dropLast(".swift".count)) })
        let tests = try SourceTree.swiftFiles(in: "Tests").filter {
            ["MixtureMethodsTests", "MixtureOfExpertsTests", "_TestSupport"].contains($0.target)
        }
        for method in methods {
            let path = "Tests/MixtureMethodsTests/\(method)Tests.swift"
            #expect(tests.contains { $0.path == path }, "\(method) must have \(path)")
        }
        for test in tests {
            let others = methods.filter { test.path != "Tests/MixtureMethodsTests/\($0)Tests.swift" }
            let named = Self.words(of: test.text).intersection(others)
            #expect(named.isEmpty, "\(test.path) must not name \(named.sorted().joined(separator: ", "))")
        }
    }

    @Test func wordsAreRead() {
        let words = Self.words(of: "let a = Stacking.self // SharedExperts\n/// Gate\nx[TokenChoice.self] = Stack\n")
        #expect(words == ["let", "a", "Stacking", "self", "x", "TokenChoice", "Stack"])
    }
}
