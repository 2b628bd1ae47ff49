import Foundation
import TensorCore

/// What the checks look at. Tests give facts of other machines.
struct SystemFacts {
    var environment: [String: String]
    /// The text of a file of the kernel's (processor, limits, settings); nil if there is none.
    var read: (_ path: String) -> String?
    var userID: UInt32
    var blasConfiguration: String
    var blasCoreName: String
    /// What computes matrix products.
    var kernels: GEMM.Kernels
    /// What `mpirun --version` prints; nil if there is no such command.
    var mpirunVersion: String?
    /// Soft limit of open files.
    var openFiles: UInt64
    /// Size and free space of the file system of a folder, in bytes.
    var space: (_ folder: String) -> (total: UInt64, free: UInt64)?

    static func ofThisMachine() -> SystemFacts {
        let environment = ProcessInfo.processInfo.environment
        var limit = rlimit()
        getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit)
        return SystemFacts(
            environment: environment,
            read: kernelText,
            userID: getuid(),
            blasConfiguration: OpenBLAS.configuration,
            blasCoreName: OpenBLAS.coreName,
            kernels: GEMM.kernels,
            mpirunVersion: command("mpirun", searchPath: environment["PATH"] ?? "").flatMap { output(of: $0, ["--version"]) },
            openFiles: UInt64(limit.rlim_cur),
            space: { folder in
                var status = statvfs()
                guard statvfs(folder, &status) == 0 else { return nil }
                func bytes(_ blocks: UInt) -> UInt64 {
                    let (product, overflow) = UInt64(blocks).multipliedReportingOverflow(by: UInt64(status.f_frsize))
                    return overflow ? .max : product
                }
                return (bytes(status.f_blocks), bytes(status.f_bavail))
            })
    }

    /// Files of the kernel's say that they are empty, and give their text in pieces.
    private static func kernelText(_ path: String) -> String? {
        guard let file = FileHandle(forReadingAtPath: path) else { return nil }
        defer { try? file.close() }
        var text = Data()
        while let piece = try? file.read(upToCount: 1 << 16), !piece.isEmpty { text += piece }
        return String(decoding: text, as: UTF8.self)
    }

    /// The path of a program; nil if no folder of the search path has it.
    static func command(_ name: String, searchPath: String) -> String? {
        searchPath.split(separator: ":").map { "\($0)/\(name)" }.first { access($0, X_OK) == 0 }
    }

    /// What a command prints, if it ends in time; an empty text if it fails.
    private static func output(of command: String, _ arguments: [String]) -> String {
        let process = Process()
        process.executableURL = URL(fileURLWithPath: command)
        process.arguments = arguments
        let pipe = Pipe()
        process.standardOutput = pipe
        process.standardError = FileHandle.nullDevice
        process.standardInput = FileHandle.nullDevice
        guard (try? process.run()) != nil else { return "" }
        let deadline = Date(timeIntervalSinceNow: 10)
        while process.isRunning && Date() < deadline { usleep(10_000) }
        guard !process.isRunning else {
            process.terminate()
            return ""
        }
        return String(decoding: pipe.fileHandleForReading.availableData, as: UTF8.self)
    }
}
