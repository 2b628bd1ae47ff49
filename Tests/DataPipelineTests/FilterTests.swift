import Foundation
import Testing

@testable import DataPipeline

@Suite struct FilterTests {
    private let folder = ScratchFolder()

    /// Trains on lines of `en` and `de`; both splits besides have the pair held–out.
    private func skipped(
        _ pairs: [(en: String, de: String)], _ change: (inout FilterConfiguration) -> Void
    ) throws -> (count: Int, skipped: SkippedPairs) {
        folder.writeMoses()
        let plain = folder.lines(60, "house"), haus = folder.lines(60, "Haus")
        folder.write("text/train.en-de.en", plain + pairs.map { $0.en + "\n" }.joined())
        folder.write("text/train.en-de.de", haus + pairs.map { $0.de + "\n" }.joined())
        folder.write("text/test.en-de.en", "held\nheld\n")
        folder.write("text/test.en-de.de", "out\nout\n")
        var configuration = folder.configuration()
        change(&configuration.filters)
        let report = try PreparedCorpus.prepare(configuration: configuration)
        let test = try #require(report.manifest.parts.first { $0.split == .test })
        #expect(test.count == 2 && test.skipped.total == 0, "text of valid and test is not filtered")
        let train = try #require(report.manifest.parts.first { $0.split == .train })
        #expect(train.count + train.skipped.total == 60 + pairs.count)
        return (train.count, train.skipped)
    }

    @Test func nothingIsFilteredUnlessAsked() throws {
        let result = try skipped([("a", "a"), ("a", "a"), ("held", "out")]) { _ in }
        #expect(result.count == 63 && result.skipped.total == 0)
    }

    @Test func duplicatesAreLeftOutButForTheFirst() throws {
        let result = try skipped([("a", "b"), ("a", "c"), ("a", "b"), ("b", "a"), ("a", "b")]) { $0.duplicates = .skip }
        #expect(result.skipped.duplicates == 2 && result.skipped.total == 2)
    }

    @Test func identicalSidesAreLeftOut() throws {
        let result = try skipped([("a", "a"), ("a", "a "), ("b", "c")]) { $0.identical = .skip }
        #expect(result.skipped.identical == 1 && result.skipped.total == 1)
    }

    @Test func heldOutPairsAreLeftOut() throws {
        let result = try skipped([("held", "out"), ("held", "in"), ("out", "held")]) { $0.heldOut = .skip }
        #expect(result.skipped.heldOut == 1 && result.skipped.total == 1)
        // What is left out is no copy any more.
        let again = try PreparationManifest(folder: "\(folder.path)/prepared")
        #expect(again.parts.first { $0.split == .test }?.copies == nil)
    }

    @Test func unevenPairsAreLeftOut() throws {
        let long = String(repeating: "house ", count: 40)
        let result = try skipped([("house", long), (long, "Haus"), (long, long)]) { $0.lengthRatio = 9 }
        #expect(result.skipped.uneven == 2 && result.skipped.total == 2)
    }

    @Test func filtersDecideTheFingerprint() throws {
        folder.writeMoses()
        var fingerprints: Set<String> = []
        for change: (inout DataConfiguration) -> Void in [
            { _ in }, { $0.filters.duplicates = .skip }, { $0.filters.identical = .skip }, { $0.filters.heldOut = .skip },
            { $0.filters.lengthRatio = 9 },
            {
                $0.byteFallback = true; $0.vocabulary = 400
            }, { $0.normalization = .nfkc },
            { $0.normalization = .nmtNFKC }, { $0.tokenizerTemperature = 1 },
        ] {
            var configuration = folder.configuration()
            change(&configuration)
            fingerprints.insert(try PreparedCorpus.prepare(configuration: configuration).manifest.fingerprint)
        }
        #expect(fingerprints.count == 9)
    }
}
