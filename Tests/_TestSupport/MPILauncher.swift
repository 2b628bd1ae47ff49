/// Programs under mpirun.
public enum MPILauncher {
    /// Runs `executable` on this machine as so many ranks, more than it has cores if need be; all are killed after
    /// `timeout` seconds.
    public static func run(
        executable: String, arguments: [String] = [], ranks: Int, environment: [String: String] = [:], timeout: Double = 60
    ) throws -> Subprocess.Outcome {
        let forRanks = [
            // In containers one is root.
            "OMPI_ALLOW_RUN_AS_ROOT": "1", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1",
            // Ranks that wait give way to those that compute: there are more of them than cores.
            "OMPI_MCA_mpi_yield_when_idle": "1",
        ]
        return try Subprocess.run(
            "mpirun", ["--oversubscribe", "--bind-to", "none", "-n", "\(ranks)", executable] + arguments,
            environment: forRanks.merging(environment) { $1 }, timeout: timeout)
    }
}
