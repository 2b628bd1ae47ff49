/// Where a rank's time goes, by phase, and how many floating-point operations the model needed.
///
/// Times are those of the rank's own thread, waiting for workers and peers included. What is not measured is `other`.
public final class PhaseClock {
    public enum Phase: String, CaseIterable, Sendable {
        /// Dense matrix products with their fused epilogues.
        case gemm
        case attention
        /// The experts' matrix products.
        case experts
        /// Gates, routing decisions, rows gathered and mixed.
        case dispatch
        /// Inside collectives: what communication costs beyond what is hidden.
        case communication
        /// Output projection, cross-entropy and their gradient.
        case loss
        case optimizer
        /// LayerNorm, dropout, residuals, embeddings, and everything unnamed.
        case other
    }

    /// One measured stretch of time.
    public struct Event: Sendable {
        public let phase: Phase
        public let name: StaticString
        /// Seconds since the clock was made.
        public let start: Double
        public let duration: Double
    }

    /// Seconds by phase since the last `reset`; `other` has only what was measured under that name.
    public private(set) var seconds: [Phase: Double] = [:]
    /// Multiplications and additions of matrix products and attention, forward and backward, since the last `reset`.
    public private(set) var flops = 0
    /// Recorded only while `isTracing`.
    public private(set) var events: [Event] = []
    public var isTracing = false
    private let origin = ContinuousClock.now
    private(set) var isMeasuring = false

    public init() {}

    public func reset() {
        seconds = [:]
        flops = 0
        events = []
    }

    /// Seconds since the clock was made.
    public var now: Double { (ContinuousClock.now - origin) / .seconds(1) }

    /// Counts what `body` takes as `phase`. Within another measurement the outer one counts.
    public func measure<Result>(_ phase: Phase, _ name: StaticString, _ body: () throws -> Result) rethrows -> Result {
        if isMeasuring { return try body() }
        isMeasuring = true
        let start = now
        defer {
            let duration = now - start
            isMeasuring = false
            seconds[phase, default: 0] += duration
            if isTracing { events.append(Event(phase: phase, name: name, start: start, duration: duration)) }
        }
        return try body()
    }

    /// Adds the operations of `products` matrix products of an [m, k] by a [k, n] matrix.
    public func countProducts(_ products: Int = 1, m: Int, n: Int, k: Int) { flops += 2 * products * m * n * k }

    /// Adds operations.
    public func count(flops: Int) { self.flops += flops }
}
