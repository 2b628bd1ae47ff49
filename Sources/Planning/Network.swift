/// What ranks' messages take, within hosts and between them.
struct Network {
    /// nil where no rank has a peer there.
    let within: MachineFigures.Messages?
    let between: MachineFigures.Messages?
    /// Bytes a second that a host's link carries each way.
    let linkBytes: Double

    /// Of a link that nobody has measured, seconds of a small message: those of TCP between hosts of one switch.
    static let usualLatency = 50e-6

    /// Whether it is known what moving messages between hosts takes of a processor. Where the link is the one that was measured,
    /// nobody knows which of both was waited for.
    let isProcessorKnown: Bool

    /// A rank moves all its messages itself; a link carries what crosses it meanwhile.
    func seconds(_ traffic: HostLayout.Traffic) -> Double {
        max(inside(traffic) + outside(traffic), traffic.between / linkBytes)
    }

    /// Of that, what a processor is busy, as far as it is known.
    func processorSeconds(_ traffic: HostLayout.Traffic) -> Double {
        inside(traffic) + (isProcessorKnown ? outside(traffic) : 0)
    }

    private func inside(_ traffic: HostLayout.Traffic) -> Double {
        traffic.within == 0 ? 0 : traffic.within / (within?.bytes ?? .infinity)
    }

    private func outside(_ traffic: HostLayout.Traffic) -> Double {
        traffic.between == 0 ? 0 : traffic.between / (between?.bytes ?? .infinity)
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
            linkBytes: hosts > 1 ? link?.bytes ?? machine.betweenHosts?.bytes ?? .infinity : .infinity,
            isProcessorKnown: link != nil && machine.betweenHosts != nil)
    }
}
