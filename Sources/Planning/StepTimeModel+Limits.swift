import MixtureOfExperts

extension StepTimeModel {
    /// A reason not to take a prediction for more than a guess.
    enum Limit: CaseIterable {
        case idleRanks, unmeasuredRanks, unmeasuredLink, manyHosts, smallMessages, smallExperts, otherWidth

        /// What it is.
        func text(_ model: StepTimeModel) -> String {
            let machine = model.machine
            return switch self {
            case .idleRanks:
                "more ranks than training.token_groups, \(model.configuration.training.tokenGroups): some have nothing to do"
            case .unmeasuredRanks:
                "more ranks on a host than were measured at once, \(machine.ranks / machine.hosts): they share memory's bandwidth"
            case .unmeasuredLink:
                "no message was measured between hosts: each is taken to need \(Int(Network.usualLatency * 1e6)) µs, and no processor"
            case .manyHosts:
                "more hosts than were measured, \(machine.hosts): what meets in a switch is taken not to wait"
            case .smallMessages:
                "messages of rows are so small that they take more for their number than for their bytes"
            case .smallExperts:
                "experts have fewer rows than were measured, \(machine.widths[0].experts[0].rows)"
            case .otherWidth:
                "the model is not between the widths that were measured, \(machine.widths[0].dim) to "
                    + "\(machine.widths[machine.widths.count - 1].dim)"
            }
        }
    }

    /// Those that hold for a prediction.
    func limits(_ time: StepTime, ranks: Int, hosts: Int) throws -> [Limit] {
        let layout = HostLayout(try RankPlan(plan, configuration, ranks: ranks).layout, hosts: hosts)
        let network = try network(layout), places = layout.layout.expertParallel, dim = plan.configuration.dim
        let busiest = places > 1 && layout.mostPlacesElsewhere() > 0 ? network.between : network.within
        let bytes = layout.mostPlacesElsewhere() > 0 ? min(network.linkBytes, busiest?.bytes ?? .infinity) : busiest?.bytes ?? 0
        let fewest = plan.kinds.flatMap(\.routing.trainedRows).filter { $0 > 0 }.min()
        let rows = StepWork(plan, configuration).tokens * (fewest ?? .infinity)
        return Limit.allCases.filter { limit in
            switch limit {
            case .idleRanks: time.busyRanks < 1 && configuration.training.tokenGroups < ranks
            case .unmeasuredRanks: layout.ranksPerHost > max(1, machine.ranks / machine.hosts)
            case .unmeasuredLink: hosts > 1 && machine.betweenHosts == nil
            case .manyHosts: hosts > max(2, machine.hosts)
            case .smallMessages: places > 1 && time.rowMessageBytes < (busiest?.latency ?? 0) * bytes
            case .smallExperts: rows * Double(places) < Double(machine.widths[0].experts[0].rows)
            case .otherWidth: dim < machine.widths[0].dim || dim > machine.widths[machine.widths.count - 1].dim
            }
        }
    }
}
