import Files
import Reporting

/// The time of an update as it is predicted, for people and for programs.
public struct StepTimeReport {
    let model: StepTimeModel
    let ranks: Int
    let hosts: Int
    let time: StepTime
    let limits: [StepTimeModel.Limit]
    let proposals: [StepProposal]
    /// Where the machine's figures come from.
    let source: String

    /// Proposals that are shown.
    private static let shown = 5

    /// `source` says where the machine's figures come from.
    ///
    /// - Throws: `PlanningError` or `PlacementError` where nothing can be predicted.
    public init(_ model: StepTimeModel, ranks: Int, hosts: Int, source: String) throws {
        self.model = model
        self.ranks = ranks
        self.hosts = hosts
        self.source = source
        time = try model.time(ranks: ranks, hosts: hosts)
        limits = try model.limits(time, ranks: ranks, hosts: hosts)
        proposals = Array(try model.proposals(ranks: ranks, hosts: hosts).prefix(Self.shown))
    }

    struct Document: Encodable {
        let machine: String
        let hosts: Int
        let link: String?
        let threads: Int
        let secondsPerStep: Double
        let tokensPerSecond: Double
        let utilization: Double
        let seconds: [String: Double]
        let hiddenSeconds: Double
        let linkBytes: Double
        let limits: [String]
        let proposals: [Proposal]

        struct Proposal: Encodable {
            let ranks: Int
            let threads: Int
            let expertParallel: Int
            let wire: String
            let secondsPerStep: Double
        }
    }

    var document: Document {
        Document(
            machine: source, hosts: hosts, link: model.link?.name, threads: model.machine.threads, secondsPerStep: time.total,
            tokensPerSecond: time.tokensPerSecond, utilization: time.utilization,
            seconds: Dictionary(uniqueKeysWithValues: time.parts.map { ($0.name, $0.seconds) }),
            hiddenSeconds: time.hidden, linkBytes: time.linkBytes,
            limits: limits.map { $0.text(model) },
            proposals: proposals.map {
                Document.Proposal(
                    ranks: $0.ranks, threads: $0.threads, expertParallel: $0.expertParallel, wire: $0.wire.rawValue,
                    secondsPerStep: $0.time.total)
            })
    }

    var text: String {
        let parts = time.parts.filter { $0.seconds > 0 }.sorted { $0.seconds > $1.seconds }
        let table = Table(
            header: ["predicted step", "seconds", "share"],
            rows: parts.map {
                [$0.name, NumberText.decimal($0.seconds, 3), NumberText.percent($0.seconds / time.total)]
            } + [["together", NumberText.decimal(time.total, 3), ""]])
        let network = hosts == 1 ? "1 host" : "\(hosts) hosts, links of \(model.link?.name ?? "the speed that was measured")"
        let speed =
            "\(NumberText.count(time.tokensPerSecond)) target tokens/s on \(network); \(source)\n"
        let hidden =
            time.hidden > 0
            ? "rows and gradients also travel for \(NumberText.decimal(time.hidden, 3)) s behind what is computed\n" : ""
        let ways = Table(
            header: ["proposal", "ranks", "threads", "expert-parallel", "wire", "s a step"],
            rows: proposals.enumerated().map { place, way in
                [
                    "\(place + 1)", "\(way.ranks)", "\(way.threads)", "\(way.expertParallel)", way.wire.rawValue,
                    NumberText.decimal(way.time.total, 3),
                ]
            })
        return table.text + speed + hidden + limits.map { "! \($0.text(model))\n" }.joined() + "\n" + ways.text
    }
}
