/// What the place of a token tells an expert's place of a choice's row: what it is a copy of, and what becomes of its gradient.
/// Rows and gradients are counted from the first between the two places, or of those that one place of a host passes on to another
/// for the token's place. Other places of the host are meant by their numbers among its places (`PlaceHosts`).
struct RowNote: Equatable {
    /// The row that travels of which it is a copy, and the place that passes that on; −1: it comes straight.
    var origin = -1
    var via = -1
    /// The gradient that is added to its own, −1: none, and the place that gives that; −1: the same.
    var added = -1
    var addedFrom = -1
    /// The place that its gradient is given to; −1: none.
    var givenTo = -1
    /// The places that the row, which comes straight, is passed on to: a bit for each.
    var passedTo: UInt32 = 0

    /// Choices that a token group may have, of which a note counts those between two places.
    static let mostRows = 1 << 24 - 1

    /// Numbers of 32 bits that a note travels as: the third is `passedTo`, which nobody needs where nothing is passed on.
    static func columns(passingOn: Bool) -> Int { passingOn ? 3 : 2 }
}

extension RowNote {
    private static let numberBits: UInt32 = 24, placeBits: UInt32 = 5

    private static func packed(_ number: Int, _ place: Int, isGiven: Bool = false) -> UInt32 {
        UInt32(number + 1) | UInt32(place + 1) << numberBits | (isGiven ? 1 : 0) << (numberBits + placeBits)
    }

    private static func unpacked(_ word: UInt32) -> (number: Int, place: Int, isGiven: Bool) {
        (
            Int(word & (1 << numberBits - 1)) - 1, Int(word >> numberBits & (1 << placeBits - 1)) - 1,
            word >> (numberBits + placeBits) == 1
        )
    }

    var words: SIMD3<UInt32> {
        SIMD3(
            Self.packed(origin, via),
            givenTo < 0 ? Self.packed(added, addedFrom) : Self.packed(-1, givenTo, isGiven: true), passedTo)
    }

    init(words: SIMD3<UInt32>) {
        (origin, via, _) = Self.unpacked(words[0])
        let gradient = Self.unpacked(words[1])
        if gradient.isGiven {
            givenTo = gradient.place
        } else {
            (added, addedFrom) = (gradient.number, gradient.place)
        }
        passedTo = words[2]
    }
}
