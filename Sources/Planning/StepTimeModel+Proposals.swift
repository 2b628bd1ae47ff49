import MixtureOfExperts
import Runs

/// A way to spend the same processors on an update.
public struct StepProposal: Sendable {
    public let ranks: Int
    public let threads: Int
    public let expertParallel: Int
    public let wire: WireFormat
    public let time: StepTime
}

extension StepTimeModel {
    /// All ways to run on as many processors of as many hosts as `ranks` ranks take with the threads that were measured, the fastest
    /// first: ranks × threads, expert-parallel size, what rows are rounded to on their way. A rank is taken to be as fast as its
    /// threads are many. Ways for which nothing was measured between ranks of a host are left out.
    public func proposals(ranks: Int, hosts: Int) throws -> [StepProposal] {
        let processors = ranks / hosts * machine.threads
        var found: [StepProposal] = []
        let most = min(processors, Self.mostRanks / hosts)
        for perHost in 1...most where processors % perHost == 0 && (perHost == 1 || machine.withinHost != nil) {
            let ranks = perHost * hosts
            let most = plan.configuration.mixture?.expertParallelLimit.most ?? 1
            for expertParallel in 1...min(ranks, most) where ranks % expertParallel == 0 {
                for wire in expertParallel > 1 ? WireFormat.allCases : [.float32] {
                    var changed = configuration
                    (changed.parallel.expertParallel, changed.parallel.wire) = (expertParallel, wire)
                    let model = try StepTimeModel(plan, changed, machine: machine, link: link, skew: skew, seed: seed)
                    let threads = processors / perHost
                    found.append(
                        StepProposal(
                            ranks: ranks, threads: threads, expertParallel: expertParallel, wire: wire,
                            time: try model.time(ranks: ranks, hosts: hosts, threads: threads)))
                }
            }
        }
        return found.sorted { $0.time.total < $1.time.total }
    }
}
