import Testing

@testable import ConfigurationForms

@Suite struct NearestNameTests {
    @Test func distanceCountsEdits() {
        #expect(editDistance("", "") == 0)
        #expect(editDistance("", "abc") == 3)
        #expect(editDistance("kitten", "sitting") == 3)
        #expect(editDistance("strata", "starta") == 1)
        #expect(editDistance("strata", "strat") == 1)
    }

    @Test func nearestIsNoGuess() {
        let names = ["train", "translate", "evaluate"]
        #expect(nearestName(to: "trian", among: names) == "train")
        #expect(nearestName(to: "TRAIN", among: names) == "train")
        #expect(nearestName(to: "transalte", among: names) == "translate")
        #expect(nearestName(to: "doctor", among: names) == nil)
        #expect(nearestName(to: "", among: names) == nil)
        #expect(nearestName(to: String(repeating: "x", count: 1_000_000), among: names) == nil)
    }
}
