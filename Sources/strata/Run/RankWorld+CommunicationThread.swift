import Collectives
import MPICollectives
import TensorCore
import Training

extension RankWorld {
    /// Runs `body`, on a thread beside the one that moves messages if `parallel.communication_thread` wants one. A collective
    /// operation.
    func computing<Value>(_ configuration: ParallelConfiguration, _ body: () throws -> Value) throws -> Value {
        guard let environment, world.size > 1 else { return try body() }
        let hosts = try Set(world.allGather(varying: Array(host.utf8)))
        let isWanted = configuration.movesWhileComputing(
            hosts: hosts.count, hasProcessors: Processors.available >= sharing)
        return isWanted ? try environment.serve(body) : try body()
    }
}
