import Foundation
import TensorCore
import Testing

@testable import strata

@Suite struct EnvironmentChecksTests {
    static let flags = "fpu sse sse2 avx avx2 fma bmi1 bmi2 f16c movbe abm"

    /// A machine on which everything is as it should be.
    static func facts(
        environment: [String: String] = [:], files changed: [String: String?] = [:], core: String = "Haswell",
        flags: String = flags,
        kernels: GEMM.Kernels = .openBLAS
    ) -> SystemFacts {
        var files = [
            "/proc/cpuinfo": "processor\t: 0\nmodel name\t: Example CPU @ 3 GHz\nflags\t\t: \(flags)\n\nprocessor\t: 1\n",
            "/proc/self/status": "Name:\tstrata\nCpus_allowed:\tff\nCpus_allowed_list:\t0-5,8,10-11\n",
            "/proc/self/maps":
                "7f-8f r-xp 0 08:01 1 /usr/lib/libmpi.so.40.30\n7f-8f r-xp 0 08:01 1 /usr/lib/libsentencepiece.so.0\n",
            "/proc/meminfo": "MemTotal:       16777216 kB\nMemFree: 1 kB\nMemAvailable:    8388608 kB\n",
            "/sys/kernel/mm/transparent_hugepage/enabled": "always [madvise] never\n",
        ]
        for (path, text) in changed { files[path] = text }
        return SystemFacts(
            environment: environment, read: { [files] in files[$0] }, userID: 1000,
            blasConfiguration: "OpenBLAS 0.3.26 DYNAMIC_ARCH ",
            blasCoreName: core, kernels: kernels, mpirunVersion: "mpirun (Open MPI) 4.1.4\n\nReport bugs to …\n",
            openFiles: 4096,
            space: { _ in (64 << 30, 32 << 30) })
    }

    @Test func nothingIsSaidOfAGoodMachine() {
        let checks = EnvironmentChecks.all(Self.facts())
        #expect(checks.count == 11)
        #expect(checks.allSatisfy { $0.status == .fine && $0.advice == nil }, "\(checks)")
        let found = Dictionary(uniqueKeysWithValues: checks.map { ($0.name, $0.found) })
        #expect(found["processor"] == "Example CPU @ 3 GHz, AVX2 and FMA")
        #expect(found["cores"] == "9 usable")
        #expect(found["memory"] == "16.0 GiB, 8.0 GiB available")
        #expect(found["Open MPI"] == "mpirun (Open MPI) 4.1.4; linked with libmpi.so.40.30")
        #expect(found["transparent huge pages"] == "madvise")
    }

    @Test func aProcessorTooOldIsMissing() {
        let check = EnvironmentChecks.processor(Self.facts(flags: "fpu sse avx bmi1 bmi2 f16c movbe abm"))
        #expect(check.status == .missing && check.found.hasSuffix("without avx2, fma"))
        #expect(check.advice?.contains("STRATA_MARCH") == true)
    }

    @Test func anOverrideThatHalvesTheSpeedIsNamed() {
        let avx512 = Self.flags + " avx512f"
        let overridden = EnvironmentChecks.blas(Self.facts(environment: ["OPENBLAS_CORETYPE": "Haswell"], flags: avx512))
        #expect(overridden.status == .warning && overridden.advice == "unset OPENBLAS_CORETYPE")
        #expect(EnvironmentChecks.blas(Self.facts(flags: avx512)).status == .warning)
        let unused = EnvironmentChecks.blas(
            Self.facts(environment: ["OPENBLAS_CORETYPE": "Haswell"], flags: avx512, kernels: .avx512))
        #expect(unused.status == .fine && unused.found.contains("not used"))
        #expect(EnvironmentChecks.blas(Self.facts(core: "SkylakeX", flags: avx512)).status == .fine)
        #expect(EnvironmentChecks.blas(Self.facts(environment: ["OPENBLAS_CORETYPE": "Haswell"])).status == .fine)
        var facts = Self.facts()
        facts.blasConfiguration = ""
        #expect(EnvironmentChecks.blas(facts).status == .missing)
    }

    @Test func threadsOfBLASAreOne() {
        #expect(EnvironmentChecks.blasThreads(Self.facts(environment: ["OMP_NUM_THREADS": "1"])).status == .fine)
        let check = EnvironmentChecks.blasThreads(
            Self.facts(environment: ["OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "4"]))
        #expect(check.status == .warning && check.found == "OPENBLAS_NUM_THREADS=4, OMP_NUM_THREADS=1")
    }

    @Test func rootNeedsPermission() {
        var facts = Self.facts()
        #expect(EnvironmentChecks.mpiAsRoot(facts) == nil)
        facts.userID = 0
        #expect(EnvironmentChecks.mpiAsRoot(facts)?.status == .warning)
        facts.environment["OMPI_ALLOW_RUN_AS_ROOT"] = "1"
        #expect(EnvironmentChecks.mpiAsRoot(facts)?.advice?.hasSuffix("export OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1") == true)
        facts.environment["OMPI_ALLOW_RUN_AS_ROOT_CONFIRM"] = "1"
        #expect(EnvironmentChecks.mpiAsRoot(facts)?.status == .fine)
    }

    @Test func otherMPIsAreNoOpenMPI() {
        var facts = Self.facts()
        facts.mpirunVersion = "HYDRA build details:\n"
        #expect(EnvironmentChecks.mpi(facts).status == .warning)
        facts.mpirunVersion = ""
        #expect(EnvironmentChecks.mpi(facts).status == .warning)
        facts.mpirunVersion = nil
        #expect(EnvironmentChecks.mpi(facts).found == "no mpirun on PATH; linked with libmpi.so.40.30")
    }

    @Test func limitsOfControlGroupsBindAtEveryLevel() {
        let facts = Self.facts(files: [
            "/proc/self/cgroup": "0::/user.slice/run.scope\n",
            "/sys/fs/cgroup/user.slice/cpu.max": "250000 100000\n",
            "/sys/fs/cgroup/user.slice/run.scope/cpu.max": "max 100000\n",
            "/sys/fs/cgroup/user.slice/run.scope/memory.max": "1073741824\n",
            "/sys/fs/cgroup/user.slice/memory.max": "max\n",
        ])
        #expect(ControlGroup(facts).cores == 2.5 && ControlGroup(facts).memory == 1 << 30)
        let cores = EnvironmentChecks.cores(facts)
        #expect(cores.status == .warning && cores.found == "9 usable, but the control group allows 2.5 at a time")
        let memory = EnvironmentChecks.memory(facts)
        #expect(memory.status == .warning && memory.found.hasSuffix("limited to 1.0 GiB by the control group"))
    }

    @Test func limitsOfVersion1AreRead() {
        let group = ControlGroup(
            Self.facts(files: [
                "/sys/fs/cgroup/cpu/cpu.cfs_quota_us": "400000\n", "/sys/fs/cgroup/cpu/cpu.cfs_period_us": "100000\n",
                "/sys/fs/cgroup/memory/memory.limit_in_bytes": "9223372036854771712\n",
            ]))
        #expect(group.cores == 4 && group.memory == nil)
        let none = ControlGroup(
            Self.facts(files: [
                "/sys/fs/cgroup/cpu/cpu.cfs_quota_us": "-1\n", "/sys/fs/cgroup/cpu/cpu.cfs_period_us": "100000\n",
            ]))
        #expect(none.cores == nil)
    }

    @Test func scarcityIsAWarning() {
        var facts = Self.facts(files: ["/sys/kernel/mm/transparent_hugepage/enabled": "always madvise [never]\n"])
        facts.openFiles = 256
        facts.space = { $0 == "/dev/shm" ? (64 << 20, 64 << 20) : (1 << 40, 1 << 30) }
        #expect(EnvironmentChecks.hugePages(facts).status == .warning)
        #expect(EnvironmentChecks.openFiles(facts).status == .warning)
        #expect(EnvironmentChecks.sharedMemory(facts).found == "/dev/shm of 64.0 MiB, 64.0 MiB free")
        #expect(EnvironmentChecks.sharedMemory(facts).status == .warning)
        #expect(EnvironmentChecks.disk(facts).status == .warning)
    }

    @Test func aSystemWithoutTheseFilesIsNoError() {
        var facts = Self.facts()
        facts.read = { _ in nil }
        facts.space = { _ in nil }
        #expect(!EnvironmentChecks.all(facts).contains { $0.status == .missing })
    }

    @Test func thisMachineCanRunTheBuild() {
        let checks = EnvironmentChecks.all(.ofThisMachine())
        #expect(checks.first { $0.name == "processor" }?.status != .missing)
        #expect(checks.first { $0.name == "OpenBLAS" }?.found.contains("OpenBLAS") == true)
        // Beyond the first page of the process's map.
        #expect(SystemFacts.ofThisMachine().read("/proc/self/maps")?.contains("libopenblas") != false)
    }
}
