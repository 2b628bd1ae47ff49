/// An operation that a rank waits in without end, and what its peers do meanwhile.
struct Standstill {
    /// The rank that waits, and where.
    let rank: Int
    let place: RankReport.Place
    /// Since when, in seconds.
    let waited: Double
    /// Ranks in the world.
    let worldSize: Int
    /// The reports of all ranks now, and some beats before.
    let now: [Int: RankReport]
    let before: [Int: RankReport]

    /// One of the ranks that wait speaks for all: the lowest that still answers.
    var isSpokenForByAnother: Bool {
        place.members.contains { $0 < rank && answers($0) && waitsHere($0) }
    }

    /// Whether no rank is at work any more: each waits in a collective, or has stopped to answer. False while nothing is known of
    /// some rank, or nobody's reports are read, this rank's own neither.
    var isOfAll: Bool {
        answers(rank) && now.count == worldSize
            && now.values.allSatisfy { !answers($0.rank) || $0.place?.isWaiting == true }
    }

    /// "allReduce #7 among ranks 0–2 …", and a line for each rank that keeps the others from going on.
    var description: String {
        let absent = place.members.filter { $0 != rank && (now[$0]?.entered[place.group] ?? 0) < place.number }
        let headline =
            absent.isEmpty
            ? "all of them have entered it, but it does not end: is the network between their hosts in order?"
            : "\(Self.ranks(absent)) \(absent.count == 1 ? "has" : "have") not entered it"
        let suspects = absent.isEmpty ? place.members.filter { $0 != rank && !(answers($0) && waitsHere($0)) } : absent
        let lines = ["\(Self.text(place)) has kept rank \(rank) waiting for \(Int(waited.rounded())) s: \(headline)"]
        return (lines + suspects.prefix(Self.mostNamed).map(account)).joined(separator: "\n  ")
    }

    /// Lines of one message. A job of a thousand ranks has a thousand suspects if it was stopped as a whole.
    private static let mostNamed = 8

    private func account(_ peer: Int) -> String {
        guard let report = now[peer] else { return "rank \(peer): has left no report" }
        let who = "rank \(peer) (process \(report.process) on \(report.host))"
        let place = report.place.map { "\($0.isWaiting ? "in" : "past") \(Self.text($0))" } ?? "before its first collective"
        guard answers(peer) else {
            return "\(who): does not answer: it is stopped or gone, or its host is; it was last seen \(place)"
        }
        guard let own = report.place, own.isWaiting else { return "\(who): runs, but is in no collective: it is \(place)" }
        return "\(who): waits itself \(place)"
    }

    private func answers(_ peer: Int) -> Bool { now[peer].map { $0.beat != before[peer]?.beat } ?? false }

    private func waitsHere(_ peer: Int) -> Bool {
        guard let other = now[peer]?.place else { return false }
        return other.isWaiting && other.group == place.group && other.number == place.number
    }

    static func text(_ place: RankReport.Place) -> String {
        "\(place.operation) #\(place.number) among \(ranks(place.members))"
    }

    /// "rank 3", "ranks 0–2, 5".
    static func ranks(_ ranks: [Int]) -> String {
        var runs: [ClosedRange<Int>] = []
        for rank in ranks.sorted() {
            if let last = runs.last, last.upperBound + 1 == rank {
                runs[runs.count - 1] = last.lowerBound...rank
            } else {
                runs.append(rank...rank)
            }
        }
        let texts = runs.map { run in
            switch run.count {
            case 1: "\(run.lowerBound)"
            case 2: "\(run.lowerBound), \(run.upperBound)"
            default: "\(run.lowerBound)–\(run.upperBound)"
            }
        }
        return (ranks.count == 1 ? "rank " : "ranks ") + texts.joined(separator: ", ")
    }
}
