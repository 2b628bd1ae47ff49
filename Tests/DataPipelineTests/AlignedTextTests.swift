import Testing

@testable import DataPipeline

@Suite struct AlignedTextTests {
    private let tokenizer = PreparedNumerals.corpus.tokenizer
    private let direction = Direction(source: "eng", target: "cat")

    @Test func packsSentencesInOrder() throws {
        let folder = ScratchFolder()
        let text = try AlignedText(
            source: folder.write("a.eng", "one\ntwenty-two\n\nseven\n"), target: folder.write("a.cat", "u\nvint-i-dos\n\nset"))
        #expect(text.pairs.map(\.source) == ["one", "twenty-two", "", "seven"])
        // Just enough for the longest sentence, which the others do not fit beside.
        let budget = try #require(
            text.pairs.map { max(tokenizer.encode($0.source).count + 2, tokenizer.encode($0.target).count + 1) }.max())
        let groups = try text.groups(direction, tokenizer: tokenizer, tokensPerGroup: budget)
        #expect(groups.count > 1 && groups.map(\.index) == Array(groups.indices))
        #expect(groups.reduce(0) { $0 + $1.sentences } == 4)
        let language = try #require(tokenizer.languageToken("cat"))
        var sentences: [(source: [Int32], target: [Int32])] = []
        for group in groups {
            #expect(group.batch.source.count <= budget && group.targetTokens <= budget)
            for index in 0..<group.sentences {
                sentences.append(
                    (
                        Array(group.batch.source[group.batch.sourceSegments.range(index)]),
                        Array(group.batch.targetInput[group.batch.targetSegments.range(index)])
                    ))
            }
        }
        for (pair, found) in zip(text.pairs, sentences) {
            #expect(found.source == [language] + tokenizer.encode(pair.source) + [tokenizer.endOfSentence])
            #expect(found.target == [language] + tokenizer.encode(pair.target))
        }
    }

    @Test func readsNoMoreThanAsked() throws {
        let folder = ScratchFolder()
        let text = try AlignedText(
            source: folder.write("a.eng", "one\ntwo\nthree\n"), target: folder.write("a.cat", "u\ndos\n"), limit: 2)
        #expect(text.pairs.count == 2)
    }

    @Test func whatCannotBeUsed() throws {
        let folder = ScratchFolder()
        let one = folder.write("one.eng", "one\n"), two = folder.write("two.cat", "u\ndos\n")
        expectError(.text, "one.eng and ", "as many lines") { _ = try AlignedText(source: one, target: two) }
        expectError(.inputOutput, "absent: must be a readable file") {
            _ = try AlignedText(source: one, target: "\(folder.path)/absent")
        }
        let bytes = folder.write("bytes.cat", .init([0x75, 0xFF, 0x0A]))
        expectError(.text, "bytes.cat:1: must be UTF-8 text") { _ = try AlignedText(source: one, target: bytes) }
        let text = try AlignedText(source: one, target: folder.write("one.cat", "u\n"))
        expectError(.text, "line 1: must be at most 2 tokens") {
            _ = try text.groups(direction, tokenizer: tokenizer, tokensPerGroup: 2)
        }
        expectError(.configuration, "must be one of", "deu") {
            _ = try text.groups(Direction(source: "eng", target: "deu"), tokenizer: tokenizer, tokensPerGroup: 99)
        }
    }
}
