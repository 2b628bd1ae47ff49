/// What ranks' messages take, within hosts and between them.
struct Network {
    /// nil where no rank has a peer there.
    let within: MachineFigures.Messages?
    let between: MachineFigures.Messages?
    /// Bytes a second that a host's link carries each way.
    let linkBytes: Double

    /// Of a link that nobody has measured, seconds of a small message: those of TCP between hosts of one switch.
    static let usualLatency = 50e-6

    /// A rank moves all its messages itself; a link carries what crosses it meanwhile.
    func seconds(_ traffic: HostLayout.Traffic) -> Double {
        let inside = traffic.within == 0 ? 0 : traffic.within / (within?.bytes ?? .infinity)
        let outside = traffic.between == 0 ? 0 : traffic.between / (between?.bytes ?? .infinity)
        return max(inside + outside, traffic.between / linkBytes)
    }

    /// A small message to each of a rank's peers, of which some are on other hosts.
    func latency(peers: Int, elsewhere: Int) -> Double {
        Double(peers - elsewhere) * (within?.latency ?? 0) + Double(elsewhere) * (between?.latency ?? 0)
    }
}

extension StepTimeModel {
    /// - Throws: `PlanningError` if ranks have peers that nothing is known of.
    func network(_ layout: HostLayout) throws -> Network {
        let hosts = layout.hosts
        guard layout.ranksPerHost == 1 || machine.withinHost != nil else {
            throw PlanningError(
                .usage,
                "the machine's figures must be of several ranks on a host, for there are \(layout.ranksPerHost), but are of one: "
                    + "measure them with mpirun -n \(layout.ranksPerHost) strata bench machine")
        }
        guard hosts == 1 || link != nil || machine.betweenHosts != nil else {
            throw PlanningError(
                .usage,
                "--link must say what the \(hosts) hosts' links carry, such as 1gbit, for the machine's figures are of one host; or "
                    + "measure them on several, with launch/run.sh --hostfile")
        }
        // Unmeasured, a link takes no time of the processor.
        let between =
            machine.betweenHosts ?? link.map { MachineFigures.Messages(latency: Network.usualLatency, bytes: 2 * $0.bytes) }
        return Network(
            within: machine.withinHost, between: hosts > 1 ? between : nil,
            linkBytes: hosts > 1 ? link?.bytes ?? machine.betweenHosts?.bytes ?? .infinity : .infinity)
    }
}
