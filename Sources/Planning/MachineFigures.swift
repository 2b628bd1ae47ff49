import Files
import Foundation
import Reporting

/// What a machine does in a second, as `strata bench machine` measures it: what a step's time is predicted from. Speeds are those
/// of one rank while all ranks that were measured are at work.
public struct MachineFigures: Codable, Equatable, Sendable {
    static let version = 1

    public let formatVersion: Int
    /// Ranks that were measured at once, the hosts that they ran on, and the threads of each.
    public let ranks: Int
    public let hosts: Int
    public let threads: Int
    /// Processors of a machine, and ranks on the machine that had most of them. Hosts may be parts of one machine.
    public let cores: Int
    public let ranksPerMachine: Int
    /// What products were computed in.
    public let compute: String
    /// Speeds by the width of the model, ascending.
    public let widths: [Width]
    /// Bytes a second that an optimizer's update reads and writes.
    public let optimizerBytes: Double
    /// Between ranks of a host; nil where no two were measured.
    public let withinHost: Messages?
    /// Between hosts; nil where one was measured.
    public let betweenHosts: Messages?

    /// Speeds for a model of one width: operations and bytes a second, forward and backward together.
    public struct Width: Codable, Equatable, Sendable {
        public let dim: Int
        /// Operations of products with layers' weights.
        public let dense: Double
        /// Operations of the output projection, with the pass over the logits.
        public let loss: Double
        public let attention: Double
        /// Bytes that layers read and write besides: LayerNorm, dropout, residuals, rows that are gathered and mixed.
        public let passes: Double
        /// Operations of experts, by the rows that each has, ascending.
        public let experts: [Experts]

        public init(dim: Int, dense: Double, loss: Double, attention: Double, passes: Double, experts: [Experts]) {
            self.dim = dim
            self.dense = dense
            self.loss = loss
            self.attention = attention
            self.passes = passes
            self.experts = experts
        }
    }

    public struct Experts: Codable, Equatable, Sendable {
        public let rows: Int
        public let speed: Double

        public init(rows: Int, speed: Double) {
            self.rows = rows
            self.speed = speed
        }
    }

    /// What messages take: all ranks send to all others at once.
    public struct Messages: Codable, Equatable, Sendable {
        /// Seconds of a small one.
        public let latency: Double
        /// Bytes a second that a rank sends within its host, or that all ranks of a host send to others.
        public let bytes: Double

        public init(latency: Double, bytes: Double) {
            self.latency = latency
            self.bytes = bytes
        }
    }

    public init(
        ranks: Int, hosts: Int, threads: Int, cores: Int, ranksPerMachine: Int, compute: String, widths: [Width],
        optimizerBytes: Double, withinHost: Messages?, betweenHosts: Messages?
    ) {
        formatVersion = Self.version
        self.ranks = ranks
        self.hosts = hosts
        self.threads = threads
        self.cores = cores
        self.ranksPerMachine = ranksPerMachine
        self.compute = compute
        self.widths = widths
        self.optimizerBytes = optimizerBytes
        self.withinHost = withinHost
        self.betweenHosts = betweenHosts
    }

    /// - Throws: `FileError` if the file cannot be read, `PlanningError` if it holds something else.
    public init(file path: String) throws {
        let reader = try FileReader(path: path)
        let next = "make it with strata bench machine --json > \(path)"
        func broken(_ found: String) -> PlanningError {
            PlanningError(.data, "\(path): must hold a machine's figures: \(found); \(next)")
        }
        let figures: Self
        do {
            let decoder = JSONDecoder()
            decoder.keyDecodingStrategy = .convertFromSnakeCase
            figures = try decoder.decode(Self.self, from: try reader.contents())
        } catch let error as FileError {
            throw error
        } catch let DecodingError.keyNotFound(key, context) {
            // A path of keys and places in lists, written as in the file.
            let path = (context.codingPath + [key]).map { $0.intValue.map(String.init) ?? $0.stringValue }
            let name = path.joined(separator: ".").map { $0.isUppercase ? "_" + $0.lowercased() : String($0) }
            throw broken("it lacks \(name.joined())")
        } catch {
            throw broken("it is no JSON of them")
        }
        guard figures.formatVersion == Self.version else {
            throw broken("it is of version \(figures.formatVersion), and this program reads \(Self.version)")
        }
        if let wrong = figures.firstThatIsWrong { throw broken("its \(wrong)") }
        self = figures
    }

    private static let counts = 1...100_000
    /// Of anything in a second; the inverse of a message's time lies within it too.
    private static let speeds = 1e-3...1e18

    /// What no machine has, and what it should be; nil where all may be true.
    private var firstThatIsWrong: String? {
        let counts = [
            ("ranks", ranks), ("hosts", hosts), ("threads", threads), ("cores", cores), ("ranks_per_machine", ranksPerMachine),
        ]
        for (name, count) in counts + widths.map({ ("dim", $0.dim) }) where !Self.counts.contains(count) {
            return "\(name) must be a number from 1 to \(Self.counts.upperBound)"
        }
        var speeds = [("optimizer_bytes", optimizerBytes)]
        for messages in [withinHost, betweenHosts].compactMap(\.self) {
            speeds += [("latency", 1 / messages.latency), ("bytes", messages.bytes)]
        }
        for width in widths {
            speeds += [
                ("dense", width.dense), ("loss", width.loss), ("attention", width.attention), ("passes", width.passes),
            ]
            speeds += width.experts.map { ("speed", $0.speed) }
        }
        if let wrong = speeds.first(where: { !Self.speeds.contains($0.1) }) {
            return "\(wrong.0) must be a positive number that a machine may have"
        }
        func isAscending(_ sizes: [Int]) -> Bool { !sizes.isEmpty && zip([0] + sizes, sizes).allSatisfy { $0 < $1 } }
        guard isAscending(widths.map(\.dim)), widths.allSatisfy({ isAscending($0.experts.map(\.rows)) }) else {
            return "widths, and the rows of their experts, must be listed, ascending from 1 on"
        }
        return nil
    }

    /// Whether ranks wait for a processor, not each other: one that waits leaves its processor to others.
    public var sharesCores: Bool { ranksPerMachine * threads > cores }

    // Between the sizes that were measured speeds go with the logarithm of the size; beyond them they are the nearest one's.

    func speed(_ kind: KeyPath<Width, Double>, dim: Int) -> Double {
        Self.interpolated(widths.map { ($0.dim, $0[keyPath: kind]) }, at: Double(dim))
    }

    func expertSpeed(dim: Int, rows: Double) -> Double {
        Self.interpolated(
            widths.map { width in (width.dim, Self.interpolated(width.experts.map { ($0.rows, $0.speed) }, at: rows)) },
            at: Double(dim))
    }

    private static func interpolated(_ points: [(size: Int, speed: Double)], at size: Double) -> Double {
        guard let upper = points.firstIndex(where: { Double($0.size) >= size }) else { return points[points.count - 1].speed }
        guard upper > 0 else { return points[0].speed }
        let (low, high) = (points[upper - 1], points[upper])
        let share = log(size / Double(low.size)) / log(Double(high.size) / Double(low.size))
        return low.speed + share * (high.speed - low.speed)
    }
}

extension MachineFigures {
    /// A table of speeds by width, and what messages take.
    public var text: String {
        func speed(_ value: Double) -> String { NumberText.decimal(value / 1e9, 1) }
        let rows = widths[0].experts.map { "experts, \($0.rows) rows" }
        let table = Table(
            header: ["width", "gemm"] + rows + ["loss", "attention", "passes, GB/s"],
            rows: widths.map { width in
                ["\(width.dim)", speed(width.dense)] + width.experts.map { speed($0.speed) }
                    + [speed(width.loss), speed(width.attention), speed(width.passes)]
            })
        func line(_ name: String, _ messages: Messages) -> String {
            "\(name): \(NumberText.decimal(messages.latency * 1e6, 1)) µs a message, \(NumberText.count(messages.bytes / 1e6)) MB/s\n"
        }
        return "\(ranks) rank(s) at once on \(hosts) host(s), \(threads) thread(s) each; GFLOP/s of a rank in \(compute)\n"
            + table.text
            + "optimizer: \(speed(optimizerBytes)) GB/s\n" + (withinHost.map { line("within a host", $0) } ?? "")
            + (betweenHosts.map { line("between hosts", $0) } ?? "")
    }
}
