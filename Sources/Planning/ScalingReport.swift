import Files
import Reporting

/// The time of an update on 1, 2, 4, … ranks, as it is predicted.
public struct ScalingReport {
    private struct Point {
        let ranks: Int
        let hosts: Int
        let expertParallel: Int
        let time: StepTime
        let limits: [StepTimeModel.Limit]
    }

    private let model: StepTimeModel
    private let points: [Point]
    private let source: String

    /// From one rank to `ranks`, by doubling, on hosts of as many ranks as `ranks` on `hosts` are: fewer ranks are on fewer hosts.
    /// Numbers that the configuration's expert-parallel size does not divide are left out. `source` says where the machine's
    /// figures come from.
    ///
    /// - Throws: `PlanningError` or `PlacementError` where nothing can be predicted.
    public init(_ model: StepTimeModel, ranks: Int, hosts: Int, source: String) throws {
        guard hosts >= 1, ranks % hosts == 0 else { throw PlanningError.unequalHosts(ranks: ranks, hosts: hosts) }
        let perHost = ranks / hosts
        var counts = Array(sequence(first: 1) { $0 * 2 }.prefix { $0 < ranks }) + [ranks]
        counts.removeAll { $0 > perHost && $0 % perHost != 0 }
        if let size = model.configuration.parallel.expertParallel { counts.removeAll { $0 < ranks && $0 % size != 0 } }
        points = try counts.map { count in
            let hosts = max(1, count / perHost)
            let time = try model.time(ranks: count, hosts: hosts)
            return Point(
                ranks: count, hosts: hosts,
                expertParallel: try RankPlan(model.plan, model.configuration, ranks: count).layout.expertParallel, time: time,
                limits: try model.limits(time, ranks: count, hosts: hosts))
        }
        self.model = model
        self.source = source
    }

    /// A limit and the fewest ranks that it holds for.
    private var firstLimits: [(ranks: Int, text: String)] {
        StepTimeModel.Limit.allCases.compactMap { limit in
            points.first { $0.limits.contains(limit) }.map { ($0.ranks, limit.text(model)) }
        }.sorted { $0.ranks < $1.ranks }
    }

    /// The most ranks for which nothing speaks against the prediction; nil if there are none.
    private var believable: Int? { points.prefix { $0.limits.isEmpty }.last?.ranks }

    private struct Document: Encodable {
        let machine: String
        let link: String?
        let believableRanks: Int
        let limits: [Limit]
        let points: [Point]

        struct Limit: Encodable {
            let fromRanks: Int
            let reason: String
        }

        struct Point: Encodable {
            let ranks: Int
            let hosts: Int
            let expertParallel: Int
            let secondsPerStep: Double
            let tokensPerSecond: Double
            let utilization: Double
            let seconds: [String: Double]
            let rowBytes: Double
            let gradientBytes: Double
            let linkBytes: Double
        }
    }

    public func json() throws -> String {
        let document = Document(
            machine: source, link: model.link?.name, believableRanks: believable ?? 0,
            limits: firstLimits.map { Document.Limit(fromRanks: $0.ranks, reason: $0.text) },
            points: points.map { point in
                Document.Point(
                    ranks: point.ranks, hosts: point.hosts, expertParallel: point.expertParallel,
                    secondsPerStep: point.time.total, tokensPerSecond: point.time.tokensPerSecond,
                    utilization: point.time.utilization,
                    seconds: Dictionary(uniqueKeysWithValues: point.time.parts.map { ($0.name, $0.seconds) }),
                    rowBytes: point.time.rowBytes, gradientBytes: point.time.gradientBytes, linkBytes: point.time.linkBytes)
            })
        return try JSONText.pretty(document, keys: .convertToSnakeCase)
    }

    public var text: String {
        let table = Table(
            header: [
                "ranks", "hosts", "expert-parallel", "s a step", "tokens/s", "products", "waiting", "rows", "gradients",
                "row MiB", "gradient MiB", "link MiB",
            ],
            rows: points.map { point in
                let time = point.time
                func share(_ seconds: Double) -> String { NumberText.percent(seconds / time.total) }
                func mebibytes(_ bytes: Double) -> String { NumberText.decimal(bytes / 1_048_576, 1) }
                return [
                    "\(point.ranks)", "\(point.hosts)", "\(point.expertParallel)", NumberText.decimal(time.total, 3),
                    NumberText.count(time.tokensPerSecond), NumberText.percent(time.utilization), share(time.waiting),
                    share(time.rows), share(time.gradients), mebibytes(time.rowBytes), mebibytes(time.gradientBytes),
                    mebibytes(time.linkBytes),
                ]
            })
        let head = believable.map { "believable up to \($0) rank(s)" } ?? "believable for no number of ranks"
        return table.text + "MiB an update, of a rank, and across the busiest host's link; \(source)\n\(head)\n"
            + firstLimits.map { "! from \($0.ranks) rank(s) on: \($0.text)\n" }.joined()
    }
}
