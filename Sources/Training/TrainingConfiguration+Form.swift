import ConfigurationForms

extension TrainingConfiguration {
    public static var form: ConfigurationForm<TrainingConfiguration> {
        .section(
            [
                .init("updates", \.updates, .integer(0...1_000_000_000)),
                .init("token_groups", \.tokenGroups, .integer(1...65_536)),
                .init("tokens_per_group", \.tokensPerGroup, .integer(1...16_777_216)),
                .init("learning_rate", \.learningRate, .number(.above(0))),
                .init("warmup", \.warmup, .integer(0...1_000_000_000)),
                .init("label_smoothing", \.labelSmoothing, .number(.from(0, below: 1))),
                .init("clip_norm", \.clipNorm, .number(.atLeast(0))),
                .init("adam_beta1", \.adamBeta1, .number(.from(0, below: 1))),
                .init("adam_beta2", \.adamBeta2, .number(.from(0, below: 1))),
                .init("adam_epsilon", \.adamEpsilon, .number(.above(0))),
                .init("seed", \.seed, .integer(0...UInt64.max)),
                .init("validate_every", \.validateEvery, .integer(0...1_000_000_000)),
                .init("max_minutes", \.maxMinutes, .number(.atLeast(0))),
                .init("recompute", \.recompute, .boolean),
            ],
            over: TrainingConfiguration())
    }
}

extension ParallelConfiguration {
    public static var form: ConfigurationForm<ParallelConfiguration> {
        .section(
            [
                .init("expert_parallel", \.expertParallel, .either("auto", or: .integer(1...4096))),
                .init("threads_per_rank", \.threadsPerRank, .either("auto", or: .integer(1...1024))),
                .init("shard_optimizer", \.shardOptimizer, .boolean),
                .init("watchdog_seconds", \.watchdogSeconds, .number(.atLeast(0))),
                .init("watchdog_abort_seconds", \.watchdogAbortSeconds, .number(.atLeast(0))),
            ],
            over: ParallelConfiguration())
    }
}
