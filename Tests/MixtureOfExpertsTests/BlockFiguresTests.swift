import MixtureOfExperts
import Testing

@Suite struct BlockFiguresTests {
    @Test func figuresOfOneNameAreCombined() {
        let combined = [BlockFigure].combined([
            [BlockFigure("a", 1), BlockFigure("rows", 3, combination: .sum)],
            [BlockFigure("b", 4), BlockFigure("a", 2), BlockFigure("rows", 5, combination: .sum)],
            [BlockFigure("a", 6)],
        ])
        // In the order of their first coming.
        #expect(combined.map(\.name) == ["a", "rows", "b"])
        #expect(combined.map(\.value) == [3, 8, 4])
        #expect(combined.map(\.combination) == [.mean, .sum, .mean])
    }

    @Test func meansAreByWeight() {
        let combined = [BlockFigure].combined([
            [BlockFigure("a", 1, weight: 3)], [BlockFigure("a", 9, weight: 1)], [BlockFigure("a", 100, weight: 0)],
        ])
        #expect(combined == [BlockFigure("a", 3, weight: 4)])
        #expect([BlockFigure].combined([[BlockFigure("a", 5, weight: 0)]]) == [BlockFigure("a", 0, weight: 0)])
    }

    /// Blocks of gates: a mean of means of as many gates each is the mean of all.
    @Test func combinedFiguresCombineAgain() {
        func gates(_ values: [Float]) -> [[BlockFigure]] { values.map { [BlockFigure("a", $0)] } }
        let blocks = [[BlockFigure].combined(gates([1, 2, 6])), .combined(gates([4, 4, 7]))]
        #expect([BlockFigure].combined(blocks) == [BlockFigure("a", 4, weight: 6)])
    }

    @Test func nothingIsNothing() { #expect([BlockFigure].combined([[], []]).isEmpty) }
}
