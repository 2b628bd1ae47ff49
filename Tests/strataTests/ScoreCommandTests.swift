import Foundation
import Testing
import _TestSupport

/// `strata score`, alone and under mpirun.
@Suite(.hangLimit) struct ScoreCommandTests {
    private let folder = CommandLineFolder()

    private func score(_ launch: Launch, _ options: String...) throws -> Subprocess.Outcome {
        let sources = (1...40).map { "\(["one", "two", "twenty-three"][$0 % 3])\n" }.joined()
        let targets = (1...40).map { "\(["u", "dos", "", "vint-i-tres"][$0 % 4])\n" }.joined()
        try folder.write("source", Data(sources.utf8))
        try folder.write("target", Data(targets.utf8))
        return try launch.strata(
            [
                "score", TinyCommandLine.run, "--source", "\(folder.path)/source", "--target", "\(folder.path)/target",
                "--direction",
            ]
                + (options.contains("--zero-shot") ? ["cat-isl"] : ["eng-cat"]) + options)
    }

    @Test func aLineAPairWhateverTheRanks() throws {
        let alone = try score(.alone)
        try #require(alone.status == 0, "\(alone)")
        let values = alone.stdout.split(separator: "\n").compactMap { Double($0) }
        #expect(values.count == 40 && values.allSatisfy { $0 < 0 && $0 > -200 })
        // The same pair is as likely wherever it stands.
        #expect((0..<28).allSatisfy { abs(values[$0] - values[$0 + 12]) < 1e-3 })
        #expect(try score(.mpirun(3)).stdout == alone.stdout)
    }

    @Test func tokensAddUp() throws {
        let outcome = try score(.alone, "--tokens")
        try #require(outcome.status == 0, "\(outcome)")
        let normalized = try score(.alone, "--normalize").stdout.split(separator: "\n").compactMap { Double($0) }
        for (line, mean) in zip(outcome.stdout.split(separator: "\n"), normalized) {
            let fields = line.split(separator: "\t")
            let tokens = try fields.dropFirst().map { try #require(Double($0.split(separator: " ")[1])) }
            #expect(fields.last?.hasPrefix("</s> ") == true)
            #expect(abs(tokens.reduce(0, +) - Double(fields[0])!) < 1e-4)
            #expect(abs(tokens.reduce(0, +) / Double(tokens.count) - mean) < 1e-4)
        }
    }

    @Test func jsonAndOtherDirections() throws {
        let outcome = try score(.alone, "--json", "--zero-shot")
        let object = try #require(
            try JSONSerialization.jsonObject(with: Data(outcome.stdout.utf8)) as? [[String: Any]], "\(outcome)")
        #expect(object.count == 40 && (object[0]["log_probability"] as? Double ?? 1) < 0 && object[0]["tokens"] != nil)
    }

    @Test func whatCannotBeScored() throws {
        try folder.write("one", Data("one\n".utf8))
        try folder.write("two", Data("u\ndos\n".utf8))
        let files = ["--source", "\(folder.path)/one", "--target", "\(folder.path)/two"]
        expectError(
            try Launch.alone.strata(["score", TinyCommandLine.run, "--direction", "eng-cta"] + files), 64,
            "did you mean eng-cat?")
        #expect(try Launch.alone.strata(["score", TinyCommandLine.run, "--direction", "eng-cat"] + files).status == 65)
    }
}
