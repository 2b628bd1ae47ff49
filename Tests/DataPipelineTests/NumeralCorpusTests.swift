import Testing

@testable import DataPipeline

@Suite struct NumeralCorpusTests {
    private func configuration(_ change: (inout NumeralsConfiguration) -> Void = { _ in }) -> NumeralsConfiguration {
        var configuration = NumeralsConfiguration()
        change(&configuration)
        return configuration
    }

    @Test func numbersAreSpelledOutWithoutSoftHyphens() throws {
        #expect(try NumeralSpeller(language: "eng").words(1234) == "one thousand two hundred thirty-four")
        #expect(try NumeralSpeller(language: "deu").words(21) == "einundzwanzig")
        #expect(try NumeralSpeller(language: "cat").words(21) == "vint-i-u")
        #expect(try NumeralSpeller(language: "nob").words(99) == "nittini")
        #expect(try NumeralSpeller(language: "tgl").words(7) == "pitó")
    }

    @Test func everyListedLanguageHasRules() throws {
        for language in NumeralSpeller.locales.keys {
            let speller = try NumeralSpeller(language: language)
            #expect(!speller.words(54_321).contains("5"), "\(language)")
        }
    }

    @Test func languagesWithoutRulesAreRefused() {
        for language in ["ben", "nso", "xyz", "en"] {
            expectError(.configuration, "data.numerals.languages", language, "available", "cat") {
                _ = try NumeralSpeller(language: language)
            }
        }
    }

    @Test func heldOutNumbersAreInNoTrainingPair() throws {
        let corpus = try NumeralCorpus(configuration())
        #expect(corpus.validation.count == 100 && corpus.test.count == 200)
        let heldOut = Set(corpus.validation + corpus.test)
        #expect(heldOut.count == 300)
        #expect(heldOut.allSatisfy { (100..<100_000).contains($0) })
        for language in corpus.configuration.languages {
            let numbers = corpus.numbers(language: language, split: .train)
            #expect(numbers.count == 20_000 && Set(numbers).count == 20_000)
            #expect(heldOut.isDisjoint(with: numbers))
            #expect(numbers.allSatisfy { (0..<100_000).contains($0) })
            #expect(numbers.count { $0 < 1000 } == 1000 - heldOut.count { $0 < 1000 })
            // 19,000 evenly from 1000 up: half of them in the upper half, ± 5 σ.
            #expect(abs(numbers.count { $0 >= 50_500 } - 9500) < 350)
        }
        #expect(corpus.numbers(language: "cat", split: .train) != corpus.numbers(language: "isl", split: .train))
    }

    @Test func theSeedDecides() throws {
        let first = try NumeralCorpus(configuration())
        let same = try NumeralCorpus(configuration())
        let other = try NumeralCorpus(configuration { $0.seed = 2 })
        #expect(first.test == same.test)
        #expect(first.numbers(language: "cat", split: .train) == same.numbers(language: "cat", split: .train))
        #expect(first.test != other.test)
        #expect(first.numbers(language: "cat", split: .train) != other.numbers(language: "cat", split: .train))
    }

    @Test func allNumbersCanBeUsed() throws {
        for below in [50, 1500] {
            let corpus = try NumeralCorpus(
                configuration {
                    ($0.below, $0.validation, $0.test, $0.languages) = (below, 5, 5, ["cat", "deu"])
                    $0.pairs = below - 10
                    $0.pairsByLanguage = ["deu": 7]
                })
            let all = corpus.numbers(language: "cat", split: .train)
            #expect(Set(all).union(corpus.validation).union(corpus.test) == Set(0..<below))
            #expect(all.count == below - 10)
            #expect(corpus.numbers(language: "deu", split: .train).count == 7)
        }
    }

    @Test func impossibleConfigurationsNameTheKey() {
        func refused(_ texts: String..., change: (inout NumeralsConfiguration) -> Void) {
            for text in texts {
                expectError(.configuration, text) { _ = try NumeralCorpus(configuration(change)) }
            }
        }
        refused("data.numerals.pairs", "100001", "99700") { $0.pairs = 100_001 }
        refused("data.numerals.pairs_by_language.cat", "0") { $0.pairsByLanguage = ["cat": 0] }
        refused("pairs_by_language", "deu") { $0.pairsByLanguage = ["deu": 10] }
        refused("data.numerals.below", "-3") { $0.below = -3 }
        refused("data.numerals.below") { $0.below = 10_000_000_000 }
        refused("data.numerals.languages", "empty") { $0.languages = [] }
        refused("distinct") { $0.languages = ["cat", "cat"] }
        refused("eng") { $0.languages = ["cat", "eng"] }
        refused("data.numerals.validation", "-1") { $0.validation = -1 }
        refused("data.numerals.test") { $0.test = 100_000 }
        refused("ben") { $0.languages = ["ben"] }
    }
}
