import ArgumentParser

/// `strata bench`: how fast the parts and the whole of a training step are on this machine.
struct BenchCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "bench",
        abstract: "Measure the speed of training on this machine.",
        discussion: """
            Example:
              strata bench gemm
              mpirun -n 2 strata bench step --config configs/bench/base.yaml
            """,
        subcommands: [
            BenchGemmCommand.self, BenchExpertsCommand.self, BenchAllToAllCommand.self, BenchStepCommand.self,
            BenchDecodeCommand.self, BenchInvarianceCommand.self, BenchMachineCommand.self,
        ])
}
