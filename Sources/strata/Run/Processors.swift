import Collectives
import Foundation

/// The processors that ranks may run on. mpirun binds ranks to a core, to a socket or not at all.
enum Processors {
    /// How many ranks of the world may run on exactly the processors that this one may, on the same host.
    static func sharing(_ world: any Communicator, host: String) throws -> Int {
        let own = Array(host.utf8) + [0] + affinity()
        return try world.allGather(varying: own).count { $0 == own }
    }

    /// The processors that this process may run on, as the kernel writes them: `0-3,8`. Empty where it does not say.
    private static func affinity() -> [UInt8] {
        let status = (try? String(contentsOfFile: "/proc/self/status", encoding: .utf8)) ?? ""
        return status.split(separator: "\n").first { $0.hasPrefix("Cpus_allowed_list:") }.map { Array($0.utf8) } ?? []
    }
}
