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
                .init("schedule", \.schedule, .choice),
                .init("minimum_learning_rate", \.minimumLearningRate, .number(.atLeast(0))),
                .init("decay_share", \.decayShare, .number(.between(0, 1))),
                .init("weight_decay", \.weightDecay, .number(.atLeast(0))),
                .init("average_decay", \.averageDecay, .number(.from(0, below: 1))),
                .init("validate_average", \.validatesAverage, .boolean),
                .init("validate_bleu", \.validateBLEU, .integer(0...1_000_000_000)),
                .init("patience", \.patience, .integer(0...1_000_000)),
                .init("patience_metric", \.patienceMetric, .choice),
                .init("label_smoothing", \.labelSmoothing, .number(.from(0, below: 1))),
                .init("clip_norm", \.clipNorm, .number(.atLeast(0))),
                .init("adam_beta1", \.adamBeta1, .number(.from(0, below: 1))),
                .init("adam_beta2", \.adamBeta2, .number(.from(0, below: 1))),
                .init("adam_epsilon", \.adamEpsilon, .number(.above(0))),
                .init("seed", \.seed, .integer(0...UInt64.max)),
                .init("validate_every", \.validateEvery, .integer(0...1_000_000_000)),
                .init("max_minutes", \.maxMinutes, .number(.atLeast(0))),
                .init("train", \.trained, TrainedParameters.form, isWritten: { $0.trained != .all }),
                .init("recompute", \.recompute, .boolean),
            ],
            over: TrainingConfiguration())
    }

    /// Values that do not go together.
    public func validate(_ path: String, _ problems: ConfigurationProblems) {
        problems.require(
            !validatesAverage || averageDecay > 0, "\(path).validate_average", "\(path).average_decay",
            text: "must be false without \(path).average_decay, for there is no average, but is true")
        problems.require(
            minimumLearningRate <= learningRate, "\(path).minimum_learning_rate", "\(path).learning_rate",
            text: "must be at most \(path).learning_rate, \(learningRate), but is \(minimumLearningRate)")
        problems.require(
            weightDecay * learningRate < 1, "\(path).weight_decay", "\(path).learning_rate",
            text: "must be below 1 / \(path).learning_rate, \(1 / learningRate), for else an update turns weights over, but is "
                + "\(weightDecay)")
        problems.require(
            patience == 0 || validateEvery > 0, "\(path).patience", "\(path).validate_every",
            text: "must be 0 where \(path).validate_every is 0, for nothing is validated on the way, but is \(patience)")
        problems.require(
            patienceMetric == .loss || validateBLEU > 0, "\(path).patience_metric", "\(path).validate_bleu",
            text: "must be loss where \(path).validate_bleu is 0, for nothing is translated, but is bleu")
    }
}

extension ParallelConfiguration {
    public static var form: ConfigurationForm<ParallelConfiguration> {
        .section(
            [
                .init("expert_parallel", \.expertParallel, .either("auto", or: .integer(1...4096))),
                .init("placement", \.placement, .either("none", or: .text("a file that strata plan --placement wrote"))),
                .init("replicas", \.replicas, .choice),
                .init("threads_per_rank", \.threadsPerRank, .either("auto", or: .integer(1...1024))),
                .init("shard_optimizer", \.shardOptimizer, .boolean),
                .init("wire", \.wire, .choice),
                .init("host_relay", \.hostRelay, .choice),
                .init("communication_thread", \.communicationThread, .choice),
                .init("interleave", \.interleave, .choice),
                .init("watchdog_seconds", \.watchdogSeconds, .number(.atLeast(0))),
                .init("watchdog_abort_seconds", \.watchdogAbortSeconds, .number(.atLeast(0))),
                .init("unreachable_abort_seconds", \.unreachableAbortSeconds, .number(.atLeast(0))),
            ],
            over: ParallelConfiguration())
    }
}
