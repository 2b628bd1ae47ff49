import Foundation
import TensorCore

/// Draws from (seed, iteration), and changes text and bytes the ways that readers trip over.
struct Mutator {
    private let key: RandomKey
    private var drawn = 0

    init(seed: UInt64, iteration: Int) { key = RandomKey(seed: seed).derived(iteration) }

    /// 0 ..< bound.
    mutating func below(_ bound: Int) -> Int {
        drawn += 1
        return min(bound - 1, Int(Double(key.uniform(drawn)) * Double(bound)))
    }

    mutating func pick<Element>(_ elements: [Element]) -> Element { elements[below(elements.count)] }

    private static let numbers = [
        "-1", "0", "1", "2", "7", "255", "65536", "2147483648", "4294967296", "4611686018427387904", "9223372036854775807",
        "9223372036854775808", "-9223372036854775808", "18446744073709551616", "1e999", "-1e999", "1e-999", "0.5", "1.0", "NaN",
        "00", "0x10", "1_000", "true", "null", "\"1\"",
    ]

    /// Up to four changes: one mostly, which leaves the rest sound and so comes far.
    mutating func changed(_ bytes: Data, tokens: [String]) -> Data {
        var bytes = bytes
        for _ in 0..<max(1, below(12) - 7) { change(&bytes, tokens) }
        return bytes
    }

    private mutating func change(_ bytes: inout Data, _ tokens: [String]) {
        guard !bytes.isEmpty else {
            bytes = Data(pick(tokens).utf8)
            return
        }
        let place = below(bytes.count)
        switch below(12) {
        case 0: bytes[place] ^= 1 << UInt8(below(8))
        case 1: bytes[place] = UInt8(below(256))
        case 2: bytes.insert(contentsOf: pick(tokens).utf8, at: place)
        case 3: bytes.removeSubrange(place..<min(bytes.count, place + 1 + below(16)))
        case 4: bytes = bytes.prefix(place)
        case 5:
            // A part of the text, again elsewhere.
            let part = Data(bytes[place..<min(bytes.count, place + 1 + below(200))])
            bytes.insert(contentsOf: part, at: below(bytes.count))
        case 6:
            // Often once, sometimes so often that what nests overflows.
            let times = below(20) == 0 ? 1 << below(15) : 1 + below(8)
            bytes.insert(contentsOf: String(repeating: pick(tokens), count: times).utf8, at: place)
        case 7, 8, 9: replaceNumber(&bytes, from: place)
        case 10: replaceText(&bytes, from: place, with: pick(tokens))
        default:
            let other = below(bytes.count)
            (bytes[place], bytes[other]) = (bytes[other], bytes[place])
        }
        bytes = Data(bytes)
    }

    /// The first number from a place on becomes another.
    private mutating func replaceNumber(_ bytes: inout Data, from place: Int) {
        let digits = UInt8(ascii: "0")...UInt8(ascii: "9")
        guard let begin = bytes[place...].firstIndex(where: digits.contains) else { return }
        let end = bytes[begin...].firstIndex { !digits.contains($0) } ?? bytes.endIndex
        bytes.replaceSubrange(begin..<end, with: pick(Self.numbers).utf8)
    }

    /// The first word from a place on becomes another.
    private mutating func replaceText(_ bytes: inout Data, from place: Int, with token: String) {
        let letters = UInt8(ascii: "a")...UInt8(ascii: "z")
        guard let begin = bytes[place...].firstIndex(where: letters.contains) else { return }
        let end = bytes[begin...].firstIndex { !letters.contains($0) } ?? bytes.endIndex
        bytes.replaceSubrange(begin..<end, with: token.utf8)
    }
}
