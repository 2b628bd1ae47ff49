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

    private func schedule(_ shape: LearningRateShape) -> LearningRateSchedule {
        LearningRateSchedule(peak: 1e-3, warmup: 100, shape: shape, updates: 1100, minimum: 1e-4, decayShare: 0.2)
    }

    @Test(arguments: LearningRateShape.allCases) func allRiseAlike(shape: LearningRateShape) {
        #expect(isClose(schedule(shape).rate(update: 50), 1e-7 + (1e-3 - 1e-7) / 2))
        #expect(isClose(schedule(shape).rate(update: 100), 1e-3))
        let rates = (100...1100).map { schedule(shape).rate(update: $0) }
        #expect(zip(rates, rates.dropFirst()).allSatisfy { $0 >= $1 } && rates.allSatisfy { $0 > 0 && $0 <= 1e-3 })
    }

    @Test func theirShapesDiffer() {
        #expect(isClose(schedule(.linear).rate(update: 600), 5.5e-4) && isClose(schedule(.linear).rate(update: 1100), 1e-4))
        #expect(isClose(schedule(.cosine).rate(update: 600), 5.5e-4) && isClose(schedule(.cosine).rate(update: 1100), 1e-4))
        #expect(isClose(schedule(.cosine).rate(update: 350), 1e-4 + 9e-4 * (1 + Float(0.5).squareRoot()) / 2))
        #expect(schedule(.constant).rate(update: 1100) == 1e-3)
        let decaying = schedule(.warmupStableDecay)
        #expect(decaying.rate(update: 880) == 1e-3 && decaying.rate(update: 881) < 1e-3)
        #expect(isClose(decaying.rate(update: 990), 5.5e-4) && isClose(decaying.rate(update: 1100), 1e-4))
    }

    @Test func whatAConfigurationAsksFor() {
        var configuration = TrainingConfiguration()
        #expect(isClose(LearningRateSchedule(configuration).rate(update: 32_000), 4e-4))
        (configuration.schedule, configuration.updates, configuration.warmup) = (.linear, 10, 0)
        #expect(isClose(LearningRateSchedule(configuration).rate(update: 5), 4e-4))
        // Shorter than its warm-up, or of no updates at all.
        for shape in LearningRateShape.allCases {
            (configuration.schedule, configuration.updates, configuration.warmup) = (shape, 0, 8000)
            #expect(LearningRateSchedule(configuration).rate(update: 9000).isFinite)
        }
    }
}
