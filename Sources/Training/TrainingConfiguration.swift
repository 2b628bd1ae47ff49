import MixtureOfExperts

/// How a model is trained: the schedule, the size of an update, the optimizer.
public struct TrainingConfiguration: Equatable, Sendable {
    public var updates = 100_000
    /// Token groups of an update, whatever the number of ranks; ranks share them out, consecutive ones each.
    public var tokenGroups = 4
    /// The token budget of one group, counted on the longer of source and target.
    public var tokensPerGroup = 3328
    public var learningRate: Float = 8e-4
    public var warmup = 8000
    /// How the rate goes on after the warm-up.
    public var schedule = LearningRateShape.inverseSquareRoot
    /// The rate at the last update, of schedules that have an end.
    public var minimumLearningRate: Float = 0
    /// Of the updates, those at the end in which warmup-stable-decay decays.
    public var decayShare = 0.2
    /// What matrices shrink by in an update, times the learning rate, apart from their gradients (AdamW); 0: not at all.
    public var weightDecay: Float = 0
    /// Decay of the parameters' exponential moving average; 0: there is none.
    public var averageDecay: Float = 0
    /// Whether validation is of the average.
    public var validatesAverage = false
    /// Sentences of each direction that a validation also translates, for their BLEU; 0: none.
    public var validateBLEU = 0
    /// Validations in a row without a better value of `patienceMetric` after which training ends; 0: it goes on.
    public var patience = 0
    public var patienceMetric = PatienceMetric.loss
    public var labelSmoothing: Float = 0.1
    /// Gradients are scaled down to this norm; 0: never.
    public var clipNorm: Float = 0
    public var adamBeta1: Float = 0.9
    public var adamBeta2: Float = 0.98
    public var adamEpsilon: Float = 1e-6
    public var seed: UInt64 = 42
    /// Updates between validations; 0: only at the end.
    public var validateEvery = 1000
    /// Training ends after this many minutes, with a checkpoint, if the updates are not reached before; 0: no limit.
    public var maxMinutes: Double = 0
    /// What is trained of the parameters.
    public var trained = TrainedParameters.all
    /// Whether hidden activations are computed again in backward instead of being kept: less memory for more time, with the
    /// same results.
    public var recompute = false

    public init() {}
}

/// What validations are compared by.
public enum PatienceMetric: String, CaseIterable, Sendable {
    /// The lower the better.
    case loss
    /// The higher the better.
    case bleu
}

/// Whether something is done: always, never, or where it is expected to pay.
public enum AutomaticChoice: String, CaseIterable, Sendable {
    case auto, on, off
}

/// Which experts every rank has while others are spread.
public enum ExpertReplicas: String, CaseIterable, Sendable {
    case off
    /// Those whose rows cost more to send than copies: decided at each checkpoint by what tokens chose before it.
    case auto
}

/// How the work is spread over ranks and threads.
public struct ParallelConfiguration: Equatable, Sendable {
    /// Ranks that share one copy of the experts of strata that are as large; nil: the largest divisor of the ranks that the smallest
    /// stratum allows.
    public var expertParallel: Int?
    /// The file that says which rank of a group has which expert; nil: they are spread evenly. It counts for groups of its size alone.
    public var placement: String?
    /// Whether experts that tokens want most may have a copy on every rank.
    public var replicas = ExpertReplicas.off
    /// Worker threads of a rank; nil: the processors that it may run on over the ranks that may run on exactly those.
    public var threadsPerRank: Int?
    /// Whether ranks that hold the same parameters share out the optimizer's state and work, instead of each doing all of it:
    /// less memory, with the same results.
    public var shardOptimizer = false
    /// What rows are rounded to on their way between tokens and experts.
    public var wire = WireFormat.float32
    /// Whether a row that several ranks of another host want crosses to it once and is passed on there; auto: where that is expected to
    /// save much of what crosses.
    public var hostRelay = AutomaticChoice.auto
    /// Whether a rank under MPI moves messages on a thread of their own, while it computes; auto: between several hosts, where
    /// ranks have a processor each.
    public var communicationThread = AutomaticChoice.auto
    /// Whether a rank runs two of its token groups in turns, so that one computes while rows of the other travel, which takes the
    /// memory of two; auto: where messages move while a rank computes.
    public var interleave = AutomaticChoice.auto
    /// Seconds that a rank waits in a collective before it is said for whom, again and again; 0: no watchdog.
    public var watchdogSeconds: Double = 300
    /// Seconds that a rank waits in a collective before it ends the job; 0: never.
    public var watchdogAbortSeconds: Double = 1800
    /// The same where no rank is at work any more: each waits too, or does not answer.
    public var unreachableAbortSeconds: Double = 180

    public init() {}
}

extension ParallelConfiguration {
    /// Whether messages of ranks under MPI on so many hosts move while they compute; `hasProcessors`: whether ranks have one each.
    public func movesWhileComputing(hosts: Int, hasProcessors: Bool = true) -> Bool {
        communicationThread == .on || (communicationThread == .auto && hosts > 1 && hasProcessors)
    }

    /// The token groups that a rank runs in turns, of an update of so many. `movesWhileComputing`: whether messages do.
    public func lanes(_ layout: ParallelLayout, tokenGroups: Int, movesWhileComputing: Bool) -> Int {
        guard layout.expertParallel > 1, layout.mostGroups(of: tokenGroups) > 1 else { return 1 }
        return interleave == .on || (interleave == .auto && movesWhileComputing) ? 2 : 1
    }
}
