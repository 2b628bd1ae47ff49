import ConfigurationForms
import TensorCore

/// Every check of `strata doctor`, in the order in which it prints them.
enum EnvironmentChecks {
    static func all(_ facts: SystemFacts) -> [EnvironmentCheck] {
        [
            processor(facts), blas(facts), blasThreads(facts), mpi(facts), mpiAsRoot(facts), sentencePiece(facts), cores(facts),
            memory(facts), hugePages(facts), sharedMemory(facts), openFiles(facts), disk(facts),
        ].compactMap { $0 }
    }

    // MARK: Processor and BLAS

    /// What x86-64-v3 has beyond its predecessors, as the kernel names it.
    private static let requiredFeatures = ["avx", "avx2", "fma", "bmi1", "bmi2", "f16c", "movbe", "abm"]

    static func processor(_ facts: SystemFacts) -> EnvironmentCheck {
        let name = "processor"
        guard let information = facts.read("/proc/cpuinfo") else {
            return .warning(
                name, "unknown: this system has no /proc/cpuinfo", do: "make sure that it has the instructions of the build")
        }
        let model = information.value(of: "model name") ?? "unknown model"
        guard let features = features(facts) else { return .fine(name, model) }
        let absent = requiredFeatures.filter { !features.contains($0) }
        guard absent.isEmpty else {
            return .missing(
                name, "\(model), without \(absent.joined(separator: ", "))",
                do: "build for this processor: STRATA_MARCH=native swift build -c release")
        }
        return .fine(name, model + (features.contains("avx512f") ? ", AVX2, FMA and AVX-512" : ", AVX2 and FMA"))
    }

    static func blas(_ facts: SystemFacts) -> EnvironmentCheck {
        let name = "OpenBLAS"
        guard !facts.blasConfiguration.isEmpty else {
            return .missing(name, "no answer from the library", do: "install libopenblas-dev and build again")
        }
        let found = "\(facts.blasConfiguration.trimmed); kernels for \(facts.blasCoreName)"
        if facts.kernels != .openBLAS { return .fine(name, "\(found); not used, for \(facts.kernels) are") }
        let hasAVX512 = features(facts)?.contains("avx512f") == true
        let core = facts.blasCoreName.lowercased().filter { $0.isLetter }
        let usesAVX512 = ["skylakex", "cooperlake", "sapphirerapids"].contains(core)
        let override = facts.environment["OPENBLAS_CORETYPE"].flatMap { $0.isEmpty ? nil : "OPENBLAS_CORETYPE=\($0)" }
        guard hasAVX512, !usesAVX512 else { return .fine(name, override.map { "\(found) (\($0))" } ?? found) }
        if let override {
            return .warning(
                name, "\(found), as \(override) demands, but the processor has AVX-512: about half its speed",
                do: "unset OPENBLAS_CORETYPE")
        }
        return .warning(
            name, "\(found), but the processor has AVX-512: about half its speed",
            do: "install an OpenBLAS built with DYNAMIC_ARCH, or set OPENBLAS_CORETYPE=SkylakeX")
    }

    static func blasThreads(_ facts: SystemFacts) -> EnvironmentCheck {
        let name = "BLAS threads"
        let set = ["OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS"].compactMap { variable in
            facts.environment[variable].map { (variable: variable, value: $0) }
        }
        let found = set.isEmpty ? "not set" : set.map { "\($0.variable)=\($0.value)" }.joined(separator: ", ")
        guard set.contains(where: { $0.value != "1" }) else { return .fine(name, found) }
        return .warning(
            name, found,
            do: "unset \(set.map(\.variable).joined(separator: " and ")), or set 1: "
                + "the worker pool splits the work; parallel.threads_per_rank sets its threads")
    }

    private static func features(_ facts: SystemFacts) -> Set<String>? {
        facts.read("/proc/cpuinfo")?.value(of: "flags").map { Set($0.split(separator: " ").map(String.init)) }
    }

    // MARK: Libraries

    static func mpi(_ facts: SystemFacts) -> EnvironmentCheck {
        let name = "Open MPI"
        let library = library("libmpi.so", facts).map { "; linked with \($0)" } ?? ""
        guard let version = facts.mpirunVersion else {
            return .warning(
                name, "no mpirun on PATH\(library)",
                do: "install openmpi-bin to run on several ranks; one rank and --simulate-ranks run without it")
        }
        let line = version.split(whereSeparator: \.isNewline).first.map(String.init) ?? ""
        guard line.contains("Open MPI") else {
            return .warning(
                name, "mpirun says \"\(line)\"\(library)",
                do: "put Open MPI's mpirun first on PATH: another MPI's starts ranks that do not meet")
        }
        return .fine(name, line + library)
    }

    /// Nothing to check for other users.
    static func mpiAsRoot(_ facts: SystemFacts) -> EnvironmentCheck? {
        guard facts.userID == 0, facts.mpirunVersion != nil else { return nil }
        let name = "Open MPI as root"
        let variables = ["OMPI_ALLOW_RUN_AS_ROOT", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM"]
        let absent = variables.filter { facts.environment[$0] != "1" }
        guard !absent.isEmpty else { return .fine(name, "allowed") }
        return .warning(
            name, "mpirun refuses to run as root",
            do: "run as another user, or export \(absent.map { "\($0)=1" }.joined(separator: " "))")
    }

    static func sentencePiece(_ facts: SystemFacts) -> EnvironmentCheck {
        let name = "SentencePiece"
        if let library = library("libsentencepiece.so", facts) { return .fine(name, "linked with \(library)") }
        return .warning(
            name, "not among the loaded libraries: linked statically, or not at all",
            do: "if strata prepare fails, install libsentencepiece-dev and build again")
    }

    /// The file name of a shared library that the process has loaded.
    private static func library(_ prefix: String, _ facts: SystemFacts) -> String? {
        facts.read("/proc/self/maps")?.split(separator: "\n").lazy
            .compactMap { $0.split(separator: "/").last.map(String.init) }
            .first { $0.hasPrefix(prefix) }
    }

    // MARK: Cores and memory

    static func cores(_ facts: SystemFacts) -> EnvironmentCheck {
        let name = "cores"
        guard let list = facts.read("/proc/self/status")?.value(of: "Cpus_allowed_list") else {
            return .warning(name, "unknown: this system has no /proc/self/status", do: "set parallel.threads_per_rank")
        }
        let cores = list.split(separator: ",").reduce(0) { sum, range in
            let ends = range.split(separator: "-").compactMap { Int($0) }
            return sum + (ends.count == 2 && ends[0] <= ends[1] ? ends[1] - ends[0] + 1 : 1)
        }
        let found = "\(cores) usable"
        guard let quota = ControlGroup(facts).cores, quota < Double(cores) else { return .fine(name, found) }
        let rounded = (quota * 10).rounded() / 10
        return .warning(
            name, "\(found), but the control group allows \(rounded) at a time",
            do: "keep ranks × parallel.threads_per_rank at most \(max(1, Int(clamped: quota))): "
                + "threads beyond it are stopped for part of each period")
    }

    static func memory(_ facts: SystemFacts) -> EnvironmentCheck {
        let name = "memory"
        guard let information = facts.read("/proc/meminfo"), let total = information.kibibytes("MemTotal") else {
            return .warning(
                name, "unknown: this system has no /proc/meminfo", do: "compare with what strata bench step reports")
        }
        let available = information.kibibytes("MemAvailable") ?? total
        let limit = ControlGroup(facts).memory
        let found =
            "\(sizeText(total)), \(sizeText(available)) available"
            + (limit.map { $0 < total ? ", limited to \(sizeText($0)) by the control group" : "" } ?? "")
        guard min(available, limit ?? .max) < 2 << 30 else { return .fine(name, found) }
        return .warning(
            name, found,
            do: "strata bench step reports what a configuration takes; a transformer-base in training takes more than this")
    }

    static func hugePages(_ facts: SystemFacts) -> EnvironmentCheck {
        let name = "transparent huge pages"
        guard let setting = facts.read("/sys/kernel/mm/transparent_hugepage/enabled")?.trimmed else {
            return .fine(name, "not offered by this kernel")
        }
        let bracketed = setting.split(separator: " ").first { $0.hasPrefix("[") }
        let chosen = bracketed.map { $0.dropFirst().dropLast() } ?? Substring(setting)
        guard chosen == "never" else { return .fine(name, String(chosen)) }
        return .warning(
            name, "never: large matrices cost more page faults and address lookups",
            do: "as root: echo madvise > /sys/kernel/mm/transparent_hugepage/enabled")
    }

    static func sharedMemory(_ facts: SystemFacts) -> EnvironmentCheck {
        let name = "shared memory"
        guard let space = facts.space("/dev/shm") else {
            return .warning(name, "no /dev/shm", do: "mount it: ranks of one node exchange data through it")
        }
        let found = "/dev/shm of \(sizeText(space.total)), \(sizeText(space.free)) free"
        guard space.free < 256 << 20 else { return .fine(name, found) }
        return .warning(
            name, found,
            do: "give it 1 GB (docker run --shm-size=1g; Kubernetes: an emptyDir of medium Memory): "
                + "ranks of one node exchange data through it")
    }

    // MARK: Limits

    static func openFiles(_ facts: SystemFacts) -> EnvironmentCheck {
        let name = "open files"
        let found = facts.openFiles == .max ? "no limit" : "\(facts.openFiles) at most"
        guard facts.openFiles < 1024 else { return .fine(name, found) }
        return .warning(name, found, do: "ulimit -n 4096: prepared shards and connections between ranks are open files")
    }

    static func disk(_ facts: SystemFacts) -> EnvironmentCheck {
        let name = "disk"
        guard let space = facts.space(".") else {
            return .warning(
                name, "unknown: the current folder's file system does not say",
                do: "make sure that there is room for checkpoints")
        }
        let found = "\(sizeText(space.free)) free in the current folder"
        guard space.free < 5 << 30 else { return .fine(name, found) }
        return .warning(
            name, found,
            do: "a checkpoint holds three times the parameters: make room, write --out elsewhere, or lower checkpoint.keep")
    }
}

/// A size in binary units, one digit after the point.
func sizeText(_ bytes: UInt64) -> String {
    let units = ["B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"]
    var value = Double(bytes)
    var unit = 0
    while value >= 1024 && unit < units.count - 1 {
        value /= 1024
        unit += 1
    }
    return unit == 0 ? "\(bytes) B" : "\((value * 10).rounded() / 10) \(units[unit])"
}
