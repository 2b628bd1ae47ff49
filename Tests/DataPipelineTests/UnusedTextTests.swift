import Foundation
import Testing

@testable import DataPipeline

/// Files that nearly fit a format are named, not passed over.
@Suite struct UnusedTextTests {
    private let folder = ScratchFolder()

    private func open(_ format: DataConfiguration.Format = .moses) throws -> ParallelText {
        try ParallelText.open(folder.configuration(format))
    }

    private static func fixture(_ name: String) -> String {
        URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
            .appendingPathComponent("Fixtures/cases/\(name)/text").path
    }

    private func copyFixture(_ name: String) throws {
        try FileManager.default.copyItem(atPath: Self.fixture(name), toPath: "\(folder.path)/text")
    }

    @Test func codesWithHyphensAreRead() throws {
        try copyFixture("ignored-language-code")
        let text = try open()
        #expect(text.directions.map(\.description) == ["en-de", "de-en", "en-pt-BR", "pt-BR-en"])
        #expect(text.parts.count == 6 && text.remarks.isEmpty, "\(text.remarks)")
        let corpus = try PreparedCorpus(path: PreparedCorpus.prepare(configuration: folder.configuration()).path)
        #expect(corpus.languages == ["en", "de", "pt-BR"])
        let direction = try #require(Direction("pt-BR-en"))
        #expect(corpus.pairs(direction, .train) > 0 && corpus.tokenizer.languageToken("pt-BR") != nil)
        let verbatim = try String(
            contentsOfFile: "\(Self.fixture("ignored-language-code"))/test.en-pt-BR.pt-BR", encoding: .utf8)
        #expect(try corpus.references(direction, .test).sources.joined(separator: "\n") + "\n" == verbatim)
    }

    @Test func compressedTextIsRead() throws {
        try copyFixture("ignored-compressed-text")
        let text = try open()
        #expect(text.directions.map(\.description) == ["en-de", "de-en", "en-pt", "pt-en"])
        #expect(text.remarks.isEmpty, "\(text.remarks)")
        let report = try PreparedCorpus.prepare(configuration: folder.configuration())
        let part = try #require(report.manifest.parts.first { $0.pair == "en-pt" && $0.split == .train })
        #expect(part.count == 24 && part.skipped.total == 0)
    }

    @Test func linksPipesAndFoldersAreErrors() throws {
        try copyFixture("dangling-link")
        let path = "\(folder.path)/text/train.en-de.de"
        let make: [(String, () throws -> Void)] = [
            (
                "a link to elsewhere/train.en-de.de, which does not exist",
                { try FileManager.default.createSymbolicLink(atPath: path, withDestinationPath: "elsewhere/train.en-de.de") }
            ),
            (
                "a link to train.en-de.de, which leads nowhere",
                { try FileManager.default.createSymbolicLink(atPath: path, withDestinationPath: "train.en-de.de") }
            ),
            ("a pipe", { _ = mkfifo(path, 0o644) }),
            ("a device", { try FileManager.default.createSymbolicLink(atPath: path, withDestinationPath: "/dev/null") }),
            ("a folder", { try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: false) }),
        ]
        for (expected, make) in make {
            try make()
            expectError(.text, "\(path): must be a readable file, but is \(expected)") { _ = try open() }
            try FileManager.default.removeItem(atPath: path)
        }
        // A link to a file is as good as the file.
        folder.write("elsewhere", String(repeating: "eins\n", count: 24))
        try FileManager.default.createSymbolicLink(atPath: path, withDestinationPath: "../elsewhere")
        #expect(try open().directions.count == 2)
        var configuration = folder.configuration()
        configuration.path = "\(folder.path)/away"
        try FileManager.default.createSymbolicLink(atPath: configuration.path!, withDestinationPath: "nowhere")
        expectError(.text, "away is a link to nowhere, which does not exist") { _ = try ParallelText.open(configuration) }
    }

    private static let nearMisses: [(DataConfiguration.Format, String, String)] = [
        (.moses, "dev.en-fr.en", "a split is train, valid or test, but is dev: rename it, for instance valid.en-fr.en"),
        (.moses, "europarl-v7.en-fr.fr", "rename it, for instance train.en-fr.fr"),
        (.moses, "Train.en-fr.en", "but is Train: rename it, for instance train.en-fr.en"),
        (.moses, "train.en-fr.FR", "must end in en or fr, but ends in FR"),
        (.moses, "train.en-fr.it", "must end in en or fr, but ends in it"),
        (.moses, "train.tok.en-fr.en", "without more or fewer fields"),
        (.moses, "train.en-fr.tok.en", "without more or fewer fields"),
        (.moses, "en-fr.en", "without more or fewer fields"),
        (.moses, "train.en", "must be named train.<src>-<tgt>.<lang>"),
        (.moses, "train.en_fr.en", "must be named train.<src>-<tgt>.<lang>"),
        (.moses, "train.en-en.en", "must be of two languages, but is en-en"),
        (.moses, "train.en-pt@latin.en", "letters, digits, _ and -"),
        (.moses, "train.en-fr.en.bz2", "decompress it"),
        (.moses, "valid.en-fr.fr.xz", "decompress it"),
        (.moses, "train.en-fr.tsv", "data.format tsv"),
        (.moses, "opus.en-fr-train.en", "data.format opus100"),
        (.moses, "en-fr/train.en-fr.en", "folders in data.path are not looked into"),
        (.tsv, "train.en-fr.en", "data.format moses"),
        (.tsv, "dev.en-fr.tsv", "rename it, for instance valid.en-fr.tsv"),
        (.tsv, "train.en-fr.TSV", "must end in tsv, but ends in TSV"),
        (.tsv, "train.en-pt-br.tsv", "cannot be told apart: name it train.<src>--<tgt>.tsv"),
        (.tsv, "train.en-fr.txt", "must end in tsv"),
        (.opus100, "opus.en-fr-valid.en", "train, dev or test in OPUS-100, but is valid"),
        (.opus100, "en-fr/opus.en-fr-train.it", "must end in en or fr, but ends in it"),
        (.opus100, "OPUS.en-fr-train.en", "must begin with opus"),
        (.opus100, "other/opus.en-fr-train.en", "a folder must be named for its pair"),
        (.opus100, "train.en-fr.en", "data.format moses"),
    ]

    @Test(arguments: nearMisses) func whatNearlyFitsIsNamed(format: DataConfiguration.Format, name: String, fault: String)
        throws
    {
        // Beside text that is used it is a remark, and the splits that are missing are said.
        write(format)
        folder.write("text/\(name)", "text\n")
        let remarks = try open(format).remarks
        #expect(remarks.count == 3, "\(remarks)")
        let remark = try #require(remarks.first)
        #expect(
            remark.hasPrefix("\(folder.path)/text/\(name)") && remark.contains("not used: ") && remark.contains(fault),
            "\(remark)")
        #expect(remarks.dropFirst() == ["no valid text of en-de, de-en", "no test text of en-de, de-en"])
        // Alone it is part of the error.
        try FileManager.default.removeItem(atPath: "\(folder.path)/text")
        folder.write("text/\(name)", "text\n")
        expectError(.text, "must hold training text", "but has nothing that is used; ", name, fault) { _ = try open(format) }
    }

    private func write(_ format: DataConfiguration.Format) {
        switch format {
        case .tsv: folder.write("text/train.en-de.tsv", "one\teins\n")
        case .opus100:
            folder.write("text/opus.en-de-train.en", "one\n")
            folder.write("text/opus.en-de-train.de", "eins\n")
        default:
            folder.write("text/train.en-de.en", "one\n")
            folder.write("text/train.en-de.de", "eins\n")
        }
    }

    @Test(arguments: [
        "README.md", "train.log", "test.py", "valid.json", "train.txt", ".train.en-fr.en", "train.en-fr.en~", "notes-2.txt",
        "my-model.tar.gz", "report.2024-01-05.csv", "manifest.json", "LICENSE", "train.en-fr.ids",
    ]) func otherFilesAreNobodysBusiness(name: String) throws {
        write(.moses)
        folder.write("text/\(name)", "x\n")
        #expect(try open().remarks.isEmpty)
        try FileManager.default.removeItem(atPath: "\(folder.path)/text")
        folder.write("text/\(name)", "x\n")
        expectError(.text, "but has other files alone, such as \(name)") { _ = try open() }
    }

    @Test func lowerCaseCodesWithHyphensAreToldApartByTheFilesEnding() throws {
        for (name, text) in [("en", "one\n"), ("pt-br", "um\n")] { folder.write("text/train.en-pt-br.\(name)", text) }
        #expect(try open().directions.map(\.description) == ["en--pt-br", "pt-br--en"])
    }

    @Test func pairsAndSplitsThatAreMissingAreSaid() throws {
        write(.moses)
        for (split, pair) in [("test", "en-de"), ("test", "en-fr"), ("valid", "en-fr"), ("train", "en-it")] {
            for language in pair.split(separator: "-") { folder.write("text/\(split).\(pair).\(language)", "x\n") }
        }
        #expect(
            try open().remarks == [
                "en-fr: not trained: there is text of valid and test, but none of train",
                "no valid text of en-de, de-en, en-it, it-en", "no test text of en-it, it-en",
            ])
        // Who names directions knows what else there is.
        var configuration = folder.configuration()
        configuration.directions = [Direction("de-en")!]
        #expect(try ParallelText.open(configuration).remarks == ["no valid text of de-en"])
    }

    @Test func plainTextGoesBeforeTheSameCompressed() throws {
        write(.moses)
        folder.write("text/train.en-de.en.gz", CompressedText.gzip(Data("two\n".utf8)))
        let text = try open()
        #expect(text.parts[0].source.files == ["\(folder.path)/text/train.en-de.en", "\(folder.path)/text/train.en-de.de"])
        #expect(text.remarks.first?.contains("train.en-de.en.gz: not used: ") == true)
    }

    @Test func manyUnusedFilesAreCounted() throws {
        write(.moses)
        for number in 0..<30 { folder.write("text/part\(number).en-de.en", "x\n") }
        let remarks = try open().remarks
        #expect(remarks.count == 11 && remarks[8] == "22 more files: not used")
    }
}
