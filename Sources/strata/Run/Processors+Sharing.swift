import Collectives
import TensorCore

/// mpirun binds ranks to a core, to a socket or not at all.
extension Processors {
    /// How many ranks of the world may run on exactly the processors that this one may, on the same host.
    static func sharing(_ world: any Communicator, host: String) throws -> Int {
        let own = Array(host.utf8) + [0] + Array(allowed.utf8)
        return try world.allGather(varying: own).count { $0 == own }
    }
}
