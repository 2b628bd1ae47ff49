import Collectives

/// The hosts that the places of an expert-parallel group are on.
public struct PlaceHosts: Equatable, Sendable {
    /// The most places of a host that rows can be passed on between: a note has a bit for each (`RowNote`).
    public static let mostPlaces = 30

    /// The host of each place, numbered in the order of their first places.
    public let ofPlace: [Int]
    /// Places of each host, ascending.
    public let places: [[Int]]
    /// A place's number among its host's.
    let localNumber: [Int]

    /// `hosts` tells the places' hosts apart.
    public init<Host: Hashable>(_ hosts: [Host]) {
        var numbers: [Host: Int] = [:], places: [[Int]] = [], local: [Int] = []
        ofPlace = hosts.enumerated().map { place, host in
            let number = numbers[host] ?? places.count
            if number == places.count {
                numbers[host] = number
                places.append([])
            }
            local.append(places[number].count)
            places[number].append(place)
            return number
        }
        self.places = places
        localNumber = local
    }

    /// Of a group's ranks, of which this one is on `host`. A collective operation.
    public init(of group: any Communicator, host: String) throws {
        self.init(try group.allGather(varying: Array(host.utf8)))
    }

    /// Whether there is something to pass on: several hosts, of which one has several places, and none too many.
    public var canPassOn: Bool {
        places.count > 1 && places.contains { $0.count > 1 } && places.allSatisfy { $0.count <= Self.mostPlaces }
    }

    func areTogether(_ place: Int, _ other: Int) -> Bool { ofPlace[place] == ofPlace[other] }
}
