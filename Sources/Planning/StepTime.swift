/// The seconds of an update, by what the rank that is waited for spends them on, and what is sent.
public struct StepTime: Equatable, Encodable, Sendable {
    /// Products with the layers' weights, experts' aside.
    public var dense = 0.0
    /// The experts' products: of the rank with most in each stratum of each block, the share that all ranks have on average.
    public var experts = 0.0
    /// Output projection, softmax over the vocabulary, and their gradient.
    public var loss = 0.0
    public var attention = 0.0
    /// LayerNorm, dropout, residuals, and rows that are gathered, mixed and rounded.
    public var passes = 0.0
    /// The update of the parameters, and what is added up on a rank itself.
    public var optimizer = 0.0
    /// What ranks with less to do wait for those with more.
    public var waiting = 0.0
    /// Rows on their way to experts and back, as far as it does not hide.
    public var rows = 0.0
    /// Gradient sums, as far as they do not hide.
    public var gradients = 0.0
    /// Rows and gradient sums on their way while the rank computes: seconds that are not among the others.
    public var hidden = 0.0

    /// Target tokens of an update.
    public var tokens = 0.0
    /// The share of the ranks that have a token group, over the update's rounds.
    public var busyRanks = 1.0
    /// Bytes that a rank sends others in an update, on average: of rows, and of gradients.
    public var rowBytes = 0.0
    public var gradientBytes = 0.0
    /// Bytes that cross the busiest host's link in its fuller direction.
    public var linkBytes = 0.0
    /// Bytes of the largest message of rows, those of one rank for one expert, on average.
    public var rowMessageBytes = 0.0

    private var products: Double { dense + experts + loss + attention }

    public var total: Double { products + passes + optimizer + waiting + rows + gradients }
    public var tokensPerSecond: Double { tokens / total }
    /// The share of the ranks' time that products take.
    public var utilization: Double { products * busyRanks / total }
    /// What communication costs beyond what hides, with the waiting for each other.
    public var exposed: Double { (waiting + rows + gradients) / total }

    /// The parts, by the names that people and programs read.
    public var parts: [(name: String, seconds: Double)] {
        [
            ("gemm", dense), ("experts", experts), ("loss", loss), ("attention", attention), ("passes", passes),
            ("optimizer", optimizer), ("waiting", waiting), ("rows", rows), ("gradients", gradients),
        ]
    }
}
