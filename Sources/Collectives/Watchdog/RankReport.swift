/// What a rank makes known of itself, so that its peers can say why they wait for it.
public struct RankReport: Codable, Equatable, Sendable {
    /// The last operation that the rank blocked in.
    public struct Place: Codable, Equatable, Sendable {
        public var operation: String
        /// The communicator, by a text that is the same on all its members.
        public var group: String
        public var members: [Int]
        /// The operation's number on the communicator, from 1.
        public var number: Int
        /// Whether the rank is still in it.
        public var isWaiting: Bool
    }

    /// The rank in the world, as all ranks here.
    public var rank: Int
    public var process: Int32
    public var host: String
    /// Grows by one with every report: one that does not grow is of a process that does not run.
    public var beat: Int
    /// The place of the rank; nil before the first operation.
    public var place: Place?
    /// The number of the last operation that the rank has entered, for each communicator.
    public var entered: [String: Int]

    public init(rank: Int, process: Int32, host: String, beat: Int, place: Place? = nil, entered: [String: Int]) {
        self.rank = rank
        self.process = process
        self.host = host
        self.beat = beat
        self.place = place
        self.entered = entered
    }
}

/// A place where ranks leave reports for each other, by other ways than the collectives that they watch.
public protocol RankBoard: AnyObject, Sendable {
    /// Replaces the rank's earlier report.
    func post(_ report: RankReport)
    /// The latest report; nil if there is none that can be read.
    func report(of rank: Int) -> RankReport?
}
