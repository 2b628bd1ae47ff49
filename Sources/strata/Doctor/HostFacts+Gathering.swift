import ConfigurationForms
import DataPipeline
import Files
import Foundation
import Runs
import TensorCore

extension HostFacts {
    /// Those of this machine, for a program that listens at `ports`. Changes the current folder to the caller's.
    init(of system: SystemFacts, for request: HostRequest, ports: [UInt16]) {
        // Before anything else can load more of them.
        libraries = Self.libraries(system)
        version = programVersion
        build = (try? Checksum.text(ofFile: "/proc/self/exe")) ?? ""
        mpirun = system.mpirunVersion?.split(whereSeparator: \.isNewline).first.map(String.init)
        hasDaemon = SystemFacts.command("orted", searchPath: system.environment["PATH"] ?? "") != nil
        folderProblem = chdir(request.folder) == 0 ? nil : String(cString: strerror(errno))
        if let path = request.configuration {
            (configuration, data) = Self.findings(configuration: path, overrides: request.overrides)
        }
        run = request.run.map { Folder($0, system) }
        cores = Self.cores(system)
        memory = system.read("/proc/meminfo")?.kibibytes("MemAvailable").map { min($0, ControlGroup(system).memory ?? .max) }
        addresses = Self.addresses()
        self.ports = ports
        // What is said of these is said by comparison with other hosts; and run.sh allows root.
        let others: Set = ["cores", "disk", "Open MPI", "Open MPI as root"]
        environment = EnvironmentChecks.all(system).filter { $0.status != .fine && !others.contains($0.name) }
    }

    /// Plugins that the C library loads for names and character sets are left out: who needed none has none.
    private static func libraries(_ system: SystemFacts) -> [String: String] {
        var libraries: [String: String] = [:]
        for line in system.read("/proc/self/maps")?.split(separator: "\n") ?? [] {
            guard let slash = line.firstIndex(of: "/") else { continue }
            let path = String(line[slash...]), name = String(path.split(separator: "/").last ?? "")
            guard name.contains(".so"), !name.hasPrefix("libnss_"), !path.contains("/gconv/"), libraries[name] == nil else {
                continue
            }
            libraries[name] = (try? Checksum.text(ofFile: path)) ?? "unreadable"
        }
        return libraries
    }

    /// The configuration's, and those of the data that it names.
    private static func findings(configuration path: String, overrides: [String]) -> (Finding, Finding?) {
        let configuration: RunConfiguration
        do { configuration = try RunConfiguration.load(file: path, overrides: overrides) } catch {
            return (.failed("\(error)"), nil)
        }
        let found = Finding.found(Checksum.text(of: Data(configuration.yaml().utf8)))
        do {
            let corpus = try PreparedCorpus(path: configuration.data.prepared)
            try corpus.requireSettings(of: configuration.data)
            // Of the same fingerprint, but prepared by other versions of libraries, they would differ in the manifest.
            let manifest = try Checksum.text(ofFile: "\(corpus.path)/\(PreparationManifest.fileName)")
            return (found, .found("\(corpus.fingerprint) \(manifest)"))
        } catch {
            return (found, .failed("\(error)"))
        }
    }

    static func cores(_ system: SystemFacts) -> Int {
        let list = system.read("/proc/self/status")?.value(of: "Cpus_allowed_list") ?? "0"
        let processors = list.split(separator: ",").flatMap { range -> [Int] in
            let ends = range.split(separator: "-").compactMap { Int($0) }
            guard let first = ends.first, let last = ends.last, first <= last else { return [] }
            return Array(first...last)
        }
        // Hardware threads of one core name the same siblings.
        let cores = Set(
            processors.map { processor in
                system.read("/sys/devices/system/cpu/cpu\(processor)/topology/thread_siblings_list")?.trimmed ?? "\(processor)"
            })
        guard let quota = ControlGroup(system).cores else { return cores.count }
        return min(cores.count, max(1, Int(clamped: quota)))
    }

    private static func addresses() -> [String] {
        var first: UnsafeMutablePointer<ifaddrs>?
        guard getifaddrs(&first) == 0 else { return [] }
        defer { freeifaddrs(first) }
        var addresses: [String] = []
        for interface in sequence(first: first, next: { $0?.pointee.ifa_next }) {
            guard let interface = interface?.pointee, let address = interface.ifa_addr, let mask = interface.ifa_netmask,
                address.pointee.sa_family == sa_family_t(AF_INET), interface.ifa_flags & UInt32(IFF_LOOPBACK) == 0
            else { continue }
            func number(_ address: UnsafeMutablePointer<sockaddr>) -> UInt32 {
                address.withMemoryRebound(to: sockaddr_in.self, capacity: 1) { UInt32(bigEndian: $0.pointee.sin_addr.s_addr) }
            }
            addresses.append(IPv4Address(number: number(address), prefix: number(mask).nonzeroBitCount).description)
        }
        return addresses
    }
}

extension HostFacts.Folder {
    /// Size of what is written to see whether it can be: more than what a full disk may still have for names.
    private static let sample = 64 << 10

    init(_ request: HostRequest.Run, _ system: SystemFacts) {
        path = request.folder
        isShared = request.marker.map { access("\(request.folder)/\($0)", F_OK) == 0 }
        error = Self.write("\(request.folder)/.strata-doctor-\(UUID().uuidString)")
        free = system.space(request.folder)?.free ?? 0
    }

    /// Writes a file and removes it again; the number of the error, if that fails.
    private static func write(_ path: String) -> Int32? {
        let file = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0o600)
        guard file >= 0 else { return errno }
        defer {
            close(file)
            unlink(path)
        }
        let bytes = [UInt8](repeating: 1, count: sample)
        var written = 0
        while written < sample {
            let count = bytes.withUnsafeBytes { Foundation.write(file, $0.baseAddress! + written, sample - written) }
            guard count > 0 else { return errno }
            written += count
        }
        return fsync(file) == 0 ? nil : errno
    }
}
