/// What the caller asks a host, as a line of JSON.
struct HostRequest: Codable {
    /// The caller's current folder, which ranks start in.
    var folder: String
    /// The path of a configuration, if one is to be read, and what overrides its keys.
    var configuration: String?
    var overrides: [String] = []
    var run: Run?
    /// Where Open MPI begins to look for ports to listen at; 0 is any.
    var ports: [UInt16] = [1024, 0]

    struct Run: Codable {
        /// The run's folder, or the nearest above it that is there.
        var folder: String
        /// The name of a file that the caller has made there: who sees it sees the same folder. nil: the caller could not.
        var marker: String?
    }
}

/// What a host says first, so that its clock is read when nothing has taken time yet.
struct HostGreeting: Codable {
    /// Seconds since 1970.
    var clock: Double
}

/// What was found on a host, as a line of JSON: nothing is judged there.
struct HostFacts: Codable, Equatable {
    /// What stands for something that all hosts should have alike, or why it is not to be had.
    enum Finding: Codable, Equatable {
        case found(String)
        case failed(String)
    }

    /// What became of an attempt to write into the run's folder.
    struct Folder: Codable, Equatable {
        var path: String
        /// The C library's number of the error; nil: could be written.
        var error: Int32?
        /// Bytes that are free for this user.
        var free: UInt64
        /// Whether it is the caller's folder; nil: not known.
        var isShared: Bool?
    }

    var version: String
    /// The checksum of the program's file.
    var build: String
    /// The checksums of the shared libraries that the program has loaded, by their files' names.
    var libraries: [String: String]
    /// The first line of `mpirun --version`; nil if there is none on the search path.
    var mpirun: String?
    /// Whether the search path has the daemon that mpirun starts on other hosts.
    var hasDaemon: Bool
    /// Why ranks cannot start in the caller's folder; nil: they can.
    var folderProblem: String?
    /// The checksum of the configuration with all its keys; nil: not asked.
    var configuration: Finding?
    /// The fingerprint of the prepared data and their manifest's checksum; nil: not asked, or no configuration.
    var data: Finding?
    var run: Folder?
    /// Cores that the program may run on, as Open MPI counts them, and no more than the control group allows.
    var cores: Int
    /// Bytes that are available, and no more than the control group allows; nil: unknown.
    var memory: UInt64?
    /// IPv4 addresses but those of the loopback, with the length of the network's prefix: "10.0.0.1/24".
    var addresses: [String]
    /// Where the program listens, as Open MPI would.
    var ports: [UInt16]
    /// What `strata doctor` would say there and that is not as it should be.
    var environment: [EnvironmentCheck]
}

/// Another host that a host is to reach.
struct LinkTarget: Codable {
    /// As the hostfile has it.
    var name: String
    /// Those to try, the likeliest first.
    var addresses: [String]
    var ports: [UInt16]
    /// Whether to measure the speed too.
    var isMeasured: Bool
}

/// What one host found of its way to another.
struct LinkFacts: Codable, Equatable {
    var to: String
    /// The addresses and ports that it does not get through to, each with the reason.
    var blocked: [String]
    /// Bytes a second; nil: not measured.
    var speed: Double?
}
