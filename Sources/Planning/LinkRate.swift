/// What a host's link carries, in each direction at once.
public struct LinkRate: Equatable, Sendable {
    /// As it was written, such as `1gbit`.
    public let name: String
    /// Bytes of messages a second.
    public let bytes: Double

    /// Of a link's bits those of messages: of a full Ethernet frame, 1,448 bytes of 1,538.
    static let payload = 1448.0 / 1538

    /// nil unless `text` is a number of kbit, mbit or gbit, as tc writes rates.
    public init?(_ text: String) {
        let units = [("kbit", 1e3), ("mbit", 1e6), ("gbit", 1e9)]
        guard let unit = units.first(where: { text.hasSuffix($0.0) }), let number = Double(text.dropLast(4)), number > 0,
            number < 1e9
        else { return nil }
        name = text
        bytes = number * unit.1 / 8 * Self.payload
    }
}
