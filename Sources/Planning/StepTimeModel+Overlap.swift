import MixtureOfExperts
import Runs

extension StepTimeModel {
    /// What goes on while ranks compute.
    struct Overlap {
        /// Whether messages move: with a communication thread. Else they move when a rank looks after them, between operations, and
        /// nothing that could be measured hides.
        let movesWhileComputing: Bool
        /// Whether the threads that move them have processors of their own; else they take theirs from those that compute.
        let hasSpareProcessors: Bool

        /// What looking after messages takes of a processor that also computes, over the computing meanwhile: with looks after pauses of
        /// up to 200 µs, steps' products took 1.16 to 1.33 times as long beside messages (Docs/Performance.md).
        static let looks = 0.2

        /// `threads` of each rank; nil: as many as were measured.
        init(_ configuration: RunConfiguration, _ machine: MachineFigures, ranks: Int, hosts: Int, threads: Int?) {
            let ranksPerHost = ranks / hosts, hostsPerMachine = machine.ranksPerMachine * machine.hosts / machine.ranks
            movesWhileComputing =
                ranks > 1
                && configuration.parallel.movesWhileComputing(hosts: hosts, hasProcessors: ranksPerHost <= machine.cores)
            hasSpareProcessors =
                max(1, hostsPerMachine) * ranksPerHost * ((threads ?? machine.threads) + 1) <= machine.cores
        }
    }

    /// Gradient sums: the seconds of all, and those that may begin before backward ends.
    struct GradientSums {
        let all: Double
        let early: RoundTimeline.Sums
    }

    /// The rows of a rank's `groups`, all like `usual` but the last, and the gradient sums, as far as they do not hide. So many groups
    /// run `inTurns` where messages move while a rank computes.
    func addCommunication(
        _ usual: RoundTimeline.Group, _ last: RoundTimeline.Group, _ sums: GradientSums, groups: Int, inTurns lanes: Int,
        _ overlap: Overlap, to time: inout StepTime
    ) {
        func exchanges(_ group: RoundTimeline.Group) -> Double { group.strata.reduce(0) { $0 + $1.exchanges } }
        let rows = Double(groups - 1) * exchanges(usual) + exchanges(last)
        guard overlap.movesWhileComputing else {
            (time.rows, time.gradients) = (rows, sums.all)
            return
        }
        let looks = overlap.hasSpareProcessors ? 0 : Overlap.looks, rounds = (groups + lanes - 1) / lanes
        let full = RoundTimeline([RoundTimeline.Group](repeating: usual, count: lanes), looks: looks)
        let before = [RoundTimeline.Group](repeating: usual, count: groups - (rounds - 1) * lanes - 1)
        let end = RoundTimeline(before + [last], looks: looks, sums: sums.early)
        time.rows = Double(rounds - 1) * (full.now - full.computed) + end.now - end.computed
        time.gradients = sums.all - sums.early.way + end.underWay
        time.hidden = max(0, rows + sums.all - time.rows - time.gradients)
    }
}

extension ExpertPlacement {
    /// The share of rows, of which an expert has `rows[expert]`, that come from the place where they are computed.
    func shareThatStays(_ rows: [Double]) -> Double {
        let all = rows.reduce(0, +)
        guard all > 0 else { return 0 }
        let own = (0..<places).map { place in experts(of: place, seenFrom: place).reduce(0) { $0 + rows[$1] } }
        return own.reduce(0, +) / Double(places) / all
    }
}
