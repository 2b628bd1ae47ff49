import Synchronization

/// What a rank notes of its collectives for its watchdog: two stores to memory an operation, no lock and no system call.
final class CollectiveJournal: Sendable {
    /// A communicator of the rank.
    final class Group: Sendable {
        /// The same text on every member, and another for every communicator: how it was made from the world.
        let id: String
        /// Ranks of the world, in group order.
        let members: [Int]
        /// The last operation that the rank has entered. Others count as missing from later ones.
        let entered = Atomic<Int>(0)

        init(id: String, members: [Int]) {
            self.id = id
            self.members = members
        }
    }

    private let place = Atomic<UInt64>(0)
    /// Communicators are made at start, and are few: they stay here to the end.
    private let made = Mutex<[Group]>([])

    var current: CollectivePlace? { CollectivePlace(packed: place.load(ordering: .acquiring)) }
    var groups: [Group] { made.withLock { $0 } }

    /// Where the rank is, and its communicators, that of the place among them: the place is read first, for the rank may make
    /// another and enter it meanwhile.
    var state: (place: CollectivePlace?, groups: [Group]) {
        let place = current
        return (place, groups)
    }

    /// The number of the group in this journal.
    func add(_ group: Group) -> Int {
        made.withLock {
            $0.append(group)
            return $0.count - 1
        }
    }

    func note(_ place: CollectivePlace) { self.place.store(place.packed, ordering: .releasing) }
}
