import Testing
import Training

@Suite struct LearningRateScheduleTests {
    private func isClose(_ actual: Float, _ expected: Float) -> Bool { abs(actual - expected) <= 1e-6 * expected }

    @Test func risesLinearlyFromTenToTheMinusSeven() {
        let schedule = LearningRateSchedule(peak: 8e-4, warmup: 8000)
        #expect(isClose(schedule.rate(update: 1), 1e-7 + (8e-4 - 1e-7) / 8000))
        #expect(isClose(schedule.rate(update: 2000), 1e-7 + (8e-4 - 1e-7) / 4))
        #expect(isClose(schedule.rate(update: 7999), 1e-7 + (8e-4 - 1e-7) * 7999 / 8000))
    }

    @Test func peaksAtTheEndOfTheWarmup() {
        let schedule = LearningRateSchedule(peak: 8e-4, warmup: 8000)
        #expect(schedule.rate(update: 8000) == 8e-4)
        #expect(schedule.rate(update: 7999) < 8e-4 && schedule.rate(update: 8001) < 8e-4)
    }

    @Test func fallsWithTheSquareRoot() {
        let schedule = LearningRateSchedule(peak: 8e-4, warmup: 8000)
        #expect(isClose(schedule.rate(update: 32_000), 4e-4))
        #expect(isClose(schedule.rate(update: 800_000), 8e-5))
    }

    @Test(arguments: [0, 1]) func withoutWarmupBeginsAtThePeak(warmup: Int) {
        let schedule = LearningRateSchedule(peak: 1e-3, warmup: warmup)
        #expect(schedule.rate(update: 1) == 1e-3)
        #expect(isClose(schedule.rate(update: 4), 5e-4))
    }
}
