import Benchmarks
import Foundation
import Planning
import TensorCore

extension RankWorld {
    /// Measures the machine with all ranks at once. A collective operation.
    func machineFigures(_ benchmark: MachineBenchmark, threads: Int) throws -> MachineFigures {
        // A machine has one kernel, whatever names its parts go by.
        let kernel = try? String(contentsOfFile: "/proc/sys/kernel/random/boot_id", encoding: .utf8)
        let machines = try gather(kernel ?? host), hosts = try gather(host)
        return try benchmark.measure(
            world, threads: threads, seats: zip(hosts, machines).map { MachineBenchmark.Seat(host: $0, machine: $1) })
    }
}
