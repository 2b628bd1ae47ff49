import Testing

@testable import Reporting

@Suite struct AxisScaleTests {
    @Test(arguments: [
        (0.0...7.3, ["0", "2", "4", "6", "8"]),
        (0.13...0.97, ["0", "0.2", "0.4", "0.6", "0.8", "1.0"]),
        (1.0...2.13, ["1.0", "1.5", "2.0", "2.5"]),
        (-3.0...12.0, ["-5", "0", "5", "10", "15"]),
        (0...39_000, ["0", "10k", "20k", "30k", "40k"]),
        (0...0, ["0", "0.2", "0.4", "0.6", "0.8", "1.0"]),
        (5...5, ["4.4", "4.6", "4.8", "5.0", "5.2", "5.4", "5.6"]),
    ]) func linearTicksAreRound(values: ClosedRange<Double>, labels: [String]) {
        let scale = AxisScale.linear(values)
        #expect(scale.ticks.map(scale.label) == labels)
        #expect(scale.domain.lowerBound <= values.lowerBound && values.upperBound <= scale.domain.upperBound)
        #expect(scale.ticks.first == scale.domain.lowerBound && scale.ticks.last == scale.domain.upperBound)
    }

    @Test(arguments: [
        (1.0...150.0, 0.0...150.0, ["0", "50", "100", "150"]),
        (1...7, 0...7, ["0", "1", "2", "3", "4", "5", "6", "7"]),
        (1...100_000, 0...100_000, ["0", "20k", "40k", "60k", "80k", "100k"]),
        (5001...5300, 5001...5300, ["5050", "5100", "5150", "5200", "5250", "5300"]),
        (1...1, 0...2, ["0", "1", "2"]),
    ]) func updatesEndWhereTheyEnd(values: ClosedRange<Double>, domain: ClosedRange<Double>, labels: [String]) {
        let scale = AxisScale.updates(values)
        #expect(scale.domain == domain)
        #expect(scale.ticks.map(scale.label) == labels)
    }

    @Test(arguments: [
        (0.3...4.1, ["0.2", "0.5", "1", "2", "5"]),
        (1.0...940.0, ["1", "10", "100", "1000"]),
        (3.0...3.0, ["2", "5"]),
        (0.02...20_000, ["0.1", "1", "10", "100", "1000", "10k"]),
    ]) func logarithmicTicks(values: ClosedRange<Double>, labels: [String]) {
        let scale = AxisScale.logarithmic(values)
        #expect(scale.ticks.map(scale.label) == labels)
        #expect(scale.domain.lowerBound <= values.lowerBound && values.upperBound <= scale.domain.upperBound)
    }

    @Test func valuesOfDifferentSizesAreLogarithmic() {
        #expect(AxisScale.fitting(1...100).kind == .linear)
        #expect(AxisScale.fitting(1...101).kind == .logarithmic)
        #expect(AxisScale.fitting(0...1e9).kind == .linear)
    }

    @Test func positions() {
        let linear = AxisScale.linear(0...8).placed(from: 250, to: 10)
        #expect([0.0, 2, 8, 9, -1].map(linear.position) == [250, 190, 10, 10, 250])
        let logarithmic = AxisScale.logarithmic(1...1000).placed(from: 0, to: 300)
        #expect(zip([1.0, 10, 100, 1000].map(logarithmic.position), [0.0, 100, 200, 300]).allSatisfy { abs($0 - $1) < 1e-9 })
    }
}
