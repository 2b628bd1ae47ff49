import Foundation

/// What the kernel says of this process in `/proc/self/status`.
public enum ProcessStatus {
    /// The most memory that this process has had resident, in MiB; 0 where the kernel does not say. (`getrusage` would count what
    /// the process that started this one had.)
    public static var peakResidentMebibytes: Double {
        guard let kibibytes = field("VmHWM")?.split(separator: " ").first.flatMap({ Double($0) }) else { return 0 }
        return kibibytes / 1024
    }

    static func field(_ name: String) -> Substring? {
        let status = (try? String(contentsOfFile: "/proc/self/status", encoding: .utf8)) ?? ""
        return status.split(separator: "\n").first { $0.hasPrefix("\(name):\t") }?.dropFirst(name.utf8.count + 2)
    }
}
