/// Values as JSON: what looks like a number, true, false or nothing is one, unless it was quoted.
extension ConfigurationNode.Content: Encodable {
    private struct Key: CodingKey {
        let stringValue: String
        var intValue: Int? { nil }
        init(stringValue: String) { self.stringValue = stringValue }
        init?(intValue: Int) { nil }
    }

    public func encode(to encoder: any Encoder) throws {
        switch self {
        case let .scalar(text, quoted):
            var container = encoder.singleValueContainer()
            if quoted {
                try container.encode(text)
            } else if ConfigurationNode(written: self).isEmpty {
                try container.encodeNil()
            } else if let flag = Bool(text) {
                try container.encode(flag)
            } else if let integer: Int = ScalarText.integer(text) {
                try container.encode(integer)
            } else if let integer: UInt64 = ScalarText.integer(text) {
                try container.encode(integer)
            } else if let number: Double = ScalarText.number(text) {
                try container.encode(number)
            } else {
                try container.encode(text)
            }
        case let .list(items):
            var container = encoder.unkeyedContainer()
            for item in items { try container.encode(item.content) }
        case let .map(entries):
            var container = encoder.container(keyedBy: Key.self)
            for entry in entries { try container.encode(entry.node.content, forKey: Key(stringValue: entry.key)) }
        }
    }
}
