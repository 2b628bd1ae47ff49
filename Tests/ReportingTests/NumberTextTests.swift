import Testing

@testable import Reporting

@Suite struct NumberTextTests {
    @Test(arguments: [
        (0.0, "0"), (12.0, "12"), (1.5, "1.5"), (1.25, "1.25"), (1.004, "1"), (1.005001, "1.01"), (-0.05, "-0.05"),
        (-3.1, "-3.1"),
    ]) func pixels(value: Double, text: String) {
        #expect(NumberText.pixels(value) == text)
    }

    @Test(arguments: [
        (0.0, 2.0, "0"), (8, 2, "8"), (0.5, 0.5, "0.5"), (1, 0.5, "1.0"), (0.002, 0.0005, "0.0020"), (2000, 500, "2000"),
        (20_000, 5000, "20k"), (12_500, 2500, "12.5k"), (1_500_000, 500_000, "1.5M"), (2e-5, 1e-5, "2e-5"), (-40, 20, "-40"),
        (0.30000000000000004, 0.1, "0.3"),
    ]) func ticks(value: Double, step: Double, text: String) {
        #expect(NumberText.tick(value, step: step) == text)
    }

    @Test(arguments: [
        (0.0, "0"), (7, "7"), (12_345, "12,345"), (1.23456, "1.235"), (12.3456, "12.35"), (123.456, "123.5"), (1234.4, "1,234"),
        (0.00123456, "0.001235"), (0.000123456, "1.235e-4"), (-2.5, "-2.500"), (.nan, "nan"), (.infinity, "inf"),
        (1e20, "1e20"),
    ]) func figures(value: Double, text: String) {
        #expect(NumberText.figure(value) == text)
    }

    @Test func countsAndDurations() {
        #expect([0, 999, 1000, -1_234_567].map(NumberText.count) == ["0", "999", "1,000", "-1,234,567"])
        #expect(
            [0.4, 59, 60, 3599, 3600, 86_399].map(NumberText.duration) == ["0s", "59s", "1m00s", "59m59s", "1h00m", "23h59m"])
        #expect([-1, .infinity, .nan].map(NumberText.duration) == ["–", "–", "–"])
        #expect([0, 1_048_576, 1_600_000].map(NumberText.mebibytes) == ["0.0", "1.0", "1.5"])
    }
}
