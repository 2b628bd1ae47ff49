import Foundation
import Testing
import _TestSupport

@testable import strata

/// What `strata translate` makes of text as it comes.
@Suite(.serialized, .hangLimit) struct TranslatedTextTests {
    private static let fixtures = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
        .appendingPathComponent("Fixtures/translate")

    private static func arguments(_ options: [String]) -> [String] {
        ["translate", TinyCommandLine.run, "--direction", "eng-cat", "--beam", "2"] + options
    }

    private func translate(_ input: String, _ options: String..., launch: Launch = .alone) throws -> Subprocess.Outcome {
        try launch.strata(Self.arguments(options), input: input)
    }

    private static func lines(_ outcome: Subprocess.Outcome) -> [String] {
        outcome.stdout.split(separator: "\n", omittingEmptySubsequences: false).dropLast().map(String.init)
    }

    @Test func aByteOrderMarkIsNoText() throws {
        let path = Self.fixtures.appendingPathComponent("byte-order-mark.txt")
        let text = String(decoding: try Data(contentsOf: path).dropFirst(3), as: UTF8.self)
        let marked = try translate("", "--source-file", path.path)
        #expect(marked.status == 0 && marked.stderr.isEmpty, "\(marked)")
        #expect(try marked.stdout == translate(text).stdout && !text.isEmpty)
    }

    @Test func aLineThatIsNoUTF8IsNamed() throws {
        let outcome = try translate("", "--source-file", Self.fixtures.appendingPathComponent("invalid-utf8.txt").path)
        #expect(outcome.status == 0 && Self.lines(outcome).count == 3, "\(outcome)")
        #expect(outcome.stderr.contains("invalid-utf8.txt:2: must be valid UTF-8, but is not"), "\(outcome)")
        #expect(!outcome.stderr.contains(":1:") && !outcome.stderr.contains(":3:"))
    }

    /// Twenty megabytes without the end of a line.
    @Test func aHugeLineIsCut() throws {
        let folder = CommandLineFolder()
        try folder.write("huge", Data(repeating: UInt8(ascii: "x"), count: 20_000_000) + Data("\nforty-two\n".utf8))
        let outcome = try translate(
            "", "--source-file", folder.path + "/huge", "--beam", "1", "--maximum-length-ratio", "0.01")
        #expect(outcome.status == 0 && Self.lines(outcome).count == 2, "\(outcome)")
        #expect(outcome.stderr.contains("huge:1: must be at most"), "\(outcome)")
    }

    /// Ten odd lines: as many lines as went in, however programs count them.
    @Test func asManyLinesAsWentIn() throws {
        let odd = [
            "", " \t\u{A0}\u{3000}", String(repeating: "nine ", count: 10_000), "one\u{0}\u{1}\u{7F}two", "forty-two\r",
            "数百 тысяча", "<2isl> forty-two </s>", "one\u{2028}two\u{85}three\rfour", "\u{1F600}\u{1F468}\u{200D}\u{1F469}",
            "e\u{301}leven",
        ]
        let outcome = try translate(odd.joined(separator: "\n"), "--beam", "1", "--maximum-length-ratio", "2")
        #expect(outcome.status == 0, "\(outcome)")
        let lines = Self.lines(outcome)
        #expect(lines.count == odd.count && lines[0].isEmpty && lines[1].isEmpty)
        #expect(outcome.stdout.unicodeScalars.allSatisfy { !["\r", "\u{85}", "\u{2028}"].contains($0) })
        #expect(outcome.stderr.contains("standard input:3: must be at most 1024 tokens"), "\(outcome)")
        #expect(outcome.stderr.contains("must be of characters that the model was trained on"), "\(outcome)")
    }

    @Test func endsOfLinesBecomeSpaces() {
        #expect(TargetLines.oneLine("a\rb\u{2028}c\u{85}d\ne\u{0B}f") == "a b c d e f")
        #expect(TargetLines.oneLine("a\tb c") == "a\tb c")
    }

    /// A program that waits for an answer before it asks on.
    @Test func aLineThroughAPipeIsAnsweredAtOnce() throws {
        let process = Process(), input = Pipe(), output = Pipe()
        process.executableURL = URL(fileURLWithPath: try BuiltProducts.path("strata"))
        process.arguments = Self.arguments([])
        (process.standardInput, process.standardOutput) = (input, output)
        try process.run()
        defer { process.terminate() }
        for _ in 0..<2 {
            try input.fileHandleForWriting.write(contentsOf: Data("forty-two\n".utf8))
            var request = pollfd(fd: output.fileHandleForReading.fileDescriptor, events: Int16(POLLIN), revents: 0)
            try #require(poll(&request, 1, 30_000) == 1, "no answer")
            #expect(output.fileHandleForReading.availableData.last == UInt8(ascii: "\n"))
        }
        try input.fileHandleForWriting.close()
        process.waitUntilExit()
        #expect(process.terminationStatus == 0)
    }

    @Test func theBestOfEachLine() throws {
        let input = "one hundred\n\nforty-two\n", best = Self.lines(try translate(input))
        let rows = Self.lines(try translate(input, "--n-best", "2")).map { $0.components(separatedBy: " ||| ") }
        #expect(rows.map { $0[0] } == ["0", "0", "1", "2", "2"])
        #expect(rows[0][1] == best[0] && rows[2][1].isEmpty && rows[3][1] == best[2])
        #expect(Double(rows[0][2])! >= Double(rows[1][2])!)
        let scored = Self.lines(try translate(input, "--scores")).map { $0.components(separatedBy: "\t") }
        #expect(scored.map { $0[1] } == best && scored[0][0] == rows[0][2])
    }

    @Test func severalRunsAreAnEnsemble() throws {
        let input = "one hundred two\nforty-two\n", alone = try translate(input)
        let twice = try Launch.alone.strata(
            ["translate", TinyCommandLine.run, TinyCommandLine.run, "--direction", "eng-cat", "--beam", "2"], input: input)
        #expect(twice.status == 0 && twice.stdout == alone.stdout, "\(twice)")
    }

    @Test func drawsAreTheSameAgain() throws {
        let input = "one hundred two\nforty-two\n"
        let draws = try (1...3).map { try translate(input, "--sample", "2", "--seed", "\($0)") }
        #expect(draws.allSatisfy { $0.status == 0 && Self.lines($0).count == 2 } && Set(draws.map(\.stdout)).count > 1)
        #expect(try translate(input, "--sample", "2", "--seed", "2").stdout == draws[1].stdout)
        let limited = try translate(input, "--sample", "2", "--top-k", "1")
        #expect(try limited.stdout == translate(input, "--beam", "1").stdout, "the likeliest token alone is greedy search")
    }

    /// So hot that all tokens are drawn, unknown ones among them.
    @Test(arguments: [Launch.alone, .mpirun(2)]) func unknownTokensAreReplaced(launch: Launch) throws {
        let folder = CommandLineFolder()
        try folder.write("in", Data((0..<40).map { "one hundred \u{6F22} \($0)\n" }.joined().utf8))
        let options = ["--source-file", "\(folder.path)/in", "--sample", "100"]
        let plain = try launch.strata(Self.arguments(options))
        try #require(plain.status == 0 && plain.stdout.contains("\u{2047}"), "\(plain)")
        let replaced = try launch.strata(Self.arguments(options + ["--replace-unknowns"]))
        #expect(replaced.status == 0 && Self.lines(replaced).count == 40, "\(replaced)")
        #expect(!replaced.stdout.contains("\u{2047}") && replaced.stdout.contains("\u{6F22}"))
    }

    /// Ranks share the sentences: the lines, also drawn ones, are those of one rank.
    @Test(arguments: [[], ["--sample", "1.5"]]) func ranksShareTheSentences(options: [String]) throws {
        let folder = CommandLineFolder()
        let text = (0..<9).map { $0 == 4 ? "" : "one hundred \(["two", "twelve", "ninety-one"][$0 % 3])" }.joined(
            separator: "\n")
        try folder.write("in", Data(text.utf8))
        func run(_ launch: Launch, _ name: String) throws -> Data {
            let outcome = try launch.strata(
                Self.arguments(["--source-file", folder.path + "/in", "--output-file", folder.path + "/" + name] + options))
            #expect(outcome.status == 0, "\(outcome)")
            return try folder.data(name)
        }
        let alone = try run(.alone, "alone")
        #expect(try run(.mpirun(2), "shared") == alone && alone.filter { $0 == UInt8(ascii: "\n") }.count == 9)
    }

    /// Each rank has some of the experts alone; that the sentences are fewer than the ranks at last does not matter.
    @Test(arguments: [2, 4]) func ranksMayShareTheExperts(ranks: Int) throws {
        let folder = CommandLineFolder()
        let text = (0..<9).map { "one hundred \(["two", "twelve", "ninety-one"][$0 % 3])\n" }.joined()
        try folder.write("in", Data(text.utf8))
        func run(_ launch: Launch, _ options: String...) throws -> String {
            let outcome = try launch.strata(Self.arguments(["--source-file", "\(folder.path)/in", "--scores"] + options))
            #expect(outcome.status == 0, "\(outcome)")
            return outcome.stdout
        }
        let alone = try run(.alone)
        #expect(alone.split(separator: "\n").count == 9)
        #expect(try run(.mpirun(ranks), "--spread-experts") == alone)
        #expect(try run(.alone, "--spread-experts") == alone)
    }

    @Test(arguments: [
        (
            ["--spread-experts", "--replace-unknowns"],
            "--spread-experts must be left out with an ensemble and with --replace-unknowns"
        ),
        (["--n-best", "3"], "--n-best must be at most 2, but is 3"), (["--top-k", "3"], "--top-k must be given with --sample"),
        (["--compute", "int4"], "--compute must be float32 or int8, but is int4"),
        (["--sample", "0"], "--sample must be 0.01 to 100, but is 0.0"),
        (["--batch-tokens", "-5"], "--batch-tokens must be at least 1, but is -5"),
        (["--maximum-length-ratio", "nan"], "--maximum-length-ratio must be above 0 and at most 100, but is nan"),
    ]) func optionsOutOfRange(options: [String], message: String) throws {
        expectError(try Launch.alone.strata(Self.arguments(options), input: "one\n"), 64, message)
    }
}
