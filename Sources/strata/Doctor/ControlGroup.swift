import ConfigurationForms

/// The limits that Linux control groups set this process, of version 2 or 1. A container sees its own at the root.
struct ControlGroup: Equatable {
    /// Cores' worth of time; nil: no limit.
    let cores: Double?
    /// Bytes; nil: no limit.
    let memory: UInt64?

    init(_ facts: SystemFacts) {
        let root = "/sys/fs/cgroup"
        var cores: [Double] = []
        var memory: [UInt64] = []
        // A limit of any group on the way down binds as well.
        for folder in Self.folders(facts.read("/proc/self/cgroup") ?? "") {
            let quota = facts.read("\(root)\(folder)/cpu.max")?.trimmed.split(separator: " ").compactMap { Double($0) } ?? []
            if quota.count == 2, quota[1] > 0 { cores.append(quota[0] / quota[1]) }
            if let bytes = facts.read("\(root)\(folder)/memory.max").flatMap({ UInt64($0.trimmed) }) { memory.append(bytes) }
        }
        if let quota = facts.read("\(root)/cpu/cpu.cfs_quota_us").flatMap({ Double($0.trimmed) }), quota > 0,
            let period = facts.read("\(root)/cpu/cpu.cfs_period_us").flatMap({ Double($0.trimmed) }), period > 0
        {
            cores.append(quota / period)
        }
        // Version 1 writes no limit as the largest multiple of a page.
        if let bytes = facts.read("\(root)/memory/memory.limit_in_bytes").flatMap({ UInt64($0.trimmed) }), bytes < 1 << 62 {
            memory.append(bytes)
        }
        self.cores = cores.min()
        self.memory = memory.min()
    }

    /// Folders of this process's group of version 2 and of those above it, the root as the empty path.
    private static func folders(_ membership: String) -> [String] {
        guard let line = membership.split(separator: "\n").first(where: { $0.hasPrefix("0::/") }) else { return [""] }
        var folders = [""]
        for part in line.dropFirst("0::/".count).split(separator: "/") {
            folders.append("\(folders[folders.count - 1])/\(part)")
        }
        return folders
    }
}

extension String {
    /// The value of the first line `key : value`.
    func value(of key: String) -> String? {
        for line in split(whereSeparator: \.isNewline) {
            guard let colon = line.firstIndex(of: ":"), String(line[..<colon]).trimmed == key else { continue }
            return String(line[line.index(after: colon)...]).trimmed
        }
        return nil
    }

    /// The value of a line `key: 123 kB`, in bytes.
    func kibibytes(_ key: String) -> UInt64? {
        value(of: key).flatMap { $0.split(separator: " ").first }.flatMap { UInt64($0) }.map { $0 << 10 }
    }
}
