/// An address of a host in a network of IPv4, which is what Open MPI's TCP uses.
struct IPv4Address: Equatable, CustomStringConvertible {
    let number: UInt32
    /// Bits that all addresses of the network share, 0 to 32.
    let prefix: Int

    init(number: UInt32, prefix: Int) {
        self.number = number
        self.prefix = prefix
    }

    /// From text such as "10.0.0.1/24"; without a prefix, a network of its own.
    init?(_ text: String) {
        let halves = text.split(separator: "/", omittingEmptySubsequences: false)
        let bytes = halves[0].split(separator: ".", omittingEmptySubsequences: false).compactMap { UInt8($0) }
        guard bytes.count == 4, halves.count <= 2, let prefix = halves.count == 2 ? Int(halves[1]) : 32,
            (0...32).contains(prefix)
        else { return nil }
        number = bytes.reduce(0) { $0 << 8 | UInt32($1) }
        self.prefix = prefix
    }

    /// Without the prefix.
    var host: String { [24, 16, 8, 0].map { "\(number >> UInt32($0) & 255)" }.joined(separator: ".") }
    var description: String { "\(host)/\(prefix)" }

    func isNeighbour(of other: IPv4Address) -> Bool {
        let mask: UInt32 = prefix == 0 ? 0 : ~0 << UInt32(32 - prefix)
        return prefix == other.prefix && number & mask == other.number & mask
    }

    /// The addresses by which one host reaches another, the likeliest first: those in a network of both, then others. What both
    /// have alike, as bridges of containers, leads nowhere.
    static func ways(from: [String], to: [String]) -> [String] {
        let own = from.compactMap { IPv4Address($0) }
        let others = to.compactMap { IPv4Address($0) }.filter { other in !own.contains { $0.number == other.number } }
        let near = others.filter { other in own.contains { $0.isNeighbour(of: other) } }
        return (near + others.filter { !near.contains($0) }).map(\.host)
    }
}
