/// What a look at the hosts of a hostfile has found, before it is judged.
struct HostSurvey {
    struct Host {
        var listed: ListedHost
        /// Whether it is the host that looks.
        var isCaller = false
        var answer: HostAnswer
    }

    /// A way from one host to another, by their names in the hostfile.
    struct Link: Equatable {
        var from: String
        var to: String
        /// Whether the first host has said in time what it found.
        var isTried = true
        /// What does not get through, with the reason.
        var blocked: [String] = []
        /// Bytes a second; nil: not measured.
        var speed: Double?
    }

    /// What the run needs of a host; nil where that is not known.
    struct Needs: Equatable {
        /// Bytes that a rank takes.
        var memoryOfRank: UInt64?
        /// Bytes of a checkpoint, and how many there are at most.
        var checkpoint: UInt64?
        var checkpoints = 1
    }

    /// The path of the program.
    var program: String
    /// Of the host that looks: what others are compared with.
    var caller: HostFacts
    var hosts: [Host]
    var links: [Link] = []
    var needs = Needs()
}

/// What came back from a host.
enum HostAnswer: Equatable {
    /// `offset`: seconds by which its clock is ahead of the caller's.
    case facts(HostFacts, offset: Double)
    /// ssh, or what it has started there, ended: with its status, and what it said.
    case ended(status: Int32, said: String)
    /// Nothing came in time. `isBegun`: the program has started there.
    case silent(isBegun: Bool)
    /// The program there answers in another form.
    case foreign

    var facts: HostFacts? { if case let .facts(facts, _) = self { facts } else { nil } }
}
