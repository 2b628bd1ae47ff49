/// What a host's link carries, in each direction at once.
public struct LinkRate: Equatable, Sendable {
    /// As it was written, such as `1gbit`.
    public let name: String
    /// Bytes of messages a second.
    public let bytes: Double

    /// The share of a link's bits that rows and gradients get when hosts send to each other at once. Of a full Ethernet frame 94 %
    /// are a message's; then acknowledgements wait behind the data of their own direction, and what a queue drops is sent again.
    /// Exchanges of the sizes of a training step reached 0.75 to 0.83 (Docs/Performance.md).
    static let payload = 0.8

    /// Bits a second that somebody's link may have.
    static let rates = 1e3...1e18

    /// nil unless `text` is a number of kbit, mbit or gbit, as tc writes rates, from 1kbit to 1e9gbit.
    public init?(_ text: String) {
        let units = [("kbit", 1e3), ("mbit", 1e6), ("gbit", 1e9)]
        guard let unit = units.first(where: { text.hasSuffix($0.0) }), let number = Double(text.dropLast(4)),
            Self.rates.contains(number * unit.1)
        else { return nil }
        name = text
        bytes = number * unit.1 / 8 * Self.payload
    }
}
