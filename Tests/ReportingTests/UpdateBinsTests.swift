import Testing

@testable import Reporting

@Suite struct UpdateBinsTests {
    @Test(arguments: [
        (1...150, 150, 1, 150), (1...151, 150, 2, 76), (1...100_000, 150, 1000, 100), (1...300, 150, 2, 150),
        (1...301, 150, 5, 61), (7...7, 150, 1, 1), (0...150, 150, 2, 76), (99_001...99_100, 60, 2, 50),
    ]) func widthsAreRound(updates: ClosedRange<Int>, limit: Int, width: Int, count: Int) {
        let bins = UpdateBins(updates, atMost: limit)
        #expect(bins.width == width && bins.count == count && bins.count <= limit)
    }

    @Test func everyUpdateIsInItsBin() {
        let bins = UpdateBins(3...104, atMost: 25)
        #expect(bins.width == 5 && bins.count == 21)
        #expect(bins.updates(of: 0) == 3...5 && bins.updates(of: 1) == 6...10 && bins.updates(of: 20) == 101...104)
        for update in 3...104 { #expect(bins.updates(of: bins.index(of: update)).contains(update)) }
        #expect(bins.middle(of: 0) == 4 && bins.middle(of: 1) == 8)
        #expect(bins.label(1) == "6–10" && UpdateBins(1...2000, atMost: 2).label(1) == "1,001–2,000")
    }

    @Test func updateZeroIsAlone() {
        let bins = UpdateBins(0...20, atMost: 5)
        #expect(bins.width == 5 && bins.updates(of: 0) == 0...0 && bins.updates(of: 1) == 1...5)
    }

    @Test func summaries() {
        let bins = UpdateBins(1...8, atMost: 4)
        let found = bins.summaries([(1, 4), (2, 1), (3, .nan), (4, .infinity), (5, 7), (6, .nan), (9, 100)])
        #expect(
            found == [
                .init(mean: 2.5, low: 1, high: 4, count: 2), .init(mean: nil, notFinite: 2),
                .init(mean: 7, low: 7, high: 7, count: 1, notFinite: 1), nil,
            ])
    }
}
