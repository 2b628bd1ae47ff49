import Autograd
import TensorCore

/// What a forward pass of one token group carries along: the tape, and the key that all its random draws are derived from.
public struct ForwardPass {
    public let tape: Tape
    /// Whether dropout and noisy routing are on.
    public let isTraining: Bool
    /// Derived from (seed, update, group), then from the layer: never from a rank.
    public private(set) var key: RandomKey
    /// What auxiliary losses, each times its weight, are multiplied by in the loss that backward differentiates.
    public var auxiliaryScale: Float = 0
    /// Whether mixtures report every gate's decision, for analyses; the scores of all gates then stay in memory.
    public var keepsDecisions = false
    /// Whether layers report the rows that their feed-forward networks or mixtures read, for calibration.
    public var keepsRows = false
    /// Every gate gives a token the expert of this rank alone, 1 the best, with weight 1; nil: what rules choose. Of inference alone.
    public var onlyRank: Int?
    /// Strata that a token passes in a block of experts at most; nil: all that it asks for. Of inference alone.
    public var mostRounds: Int?
    private let reports: PassReports?

    /// `reporting`: the parts of the model tell `reports` what they did.
    public init(tape: Tape, isTraining: Bool, key: RandomKey, reporting reports: PassReports? = nil) {
        self.tape = tape
        self.isTraining = isTraining
        self.key = key
        self.reports = reports
    }

    /// Whether somebody reads reports.
    public var isReporting: Bool { reports != nil }

    /// Tells what a part of the model did, if somebody reads it.
    public func report(_ report: @autoclosure () -> some Sendable) { reports?.add(report()) }

    public var context: ComputeContext { tape.context }

    /// The pass as a part of the model sees it, with random draws of its own.
    public func within(_ part: Int) -> ForwardPass {
        var inner = self
        inner.key = key.derived(part)
        return inner
    }

    /// The mask of a dropout of this pass; `purpose` tells the dropouts of a layer apart.
    public func dropout(_ probability: Float, purpose: RandomPurpose) -> DropoutMask {
        guard isTraining, probability > 0 else { return .none }
        return DropoutMask(probability: probability, key: key.derived(purpose))
    }
}

/// What the feed-forward network, or the mixture, of a layer reads, [T, d].
public struct LayerRows: Sendable {
    public let rows: Tensor

    public init(rows: Tensor) { self.rows = rows }
}

/// What the parts of a model report of one pass, in the order in which they ran.
public final class PassReports {
    private var reports: [any Sendable] = []

    public init() {}

    fileprivate func add(_ report: some Sendable) { reports.append(report) }

    /// The reports of one kind.
    public func all<Report: Sendable>(of type: Report.Type) -> [Report] { reports.compactMap { $0 as? Report } }
}

/// What a random draw within a layer is for. A part of the model with draws of its own adds a purpose beside its code.
public struct RandomPurpose: Sendable {
    fileprivate let number: Int

    /// A number that no other purpose has.
    public init(number: Int) { self.number = number }

    public static let embedding = RandomPurpose(number: 1)
    public static let attention = RandomPurpose(number: 2)
    public static let residual = RandomPurpose(number: 3)
    public static let expertOutput = RandomPurpose(number: 5)
}

extension RandomKey {
    public func derived(_ purpose: RandomPurpose) -> RandomKey { derived(purpose.number) }
}
