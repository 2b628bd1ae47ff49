/// A command that may be started as several ranks, which share its work or each have their own. Any other runs on one process:
/// under mpirun each rank would do all of it, against the others.
protocol RunsOnRanks {}
