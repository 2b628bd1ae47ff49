/// Mixtures whose blocks in encoder and decoder have other strata. What a block asks of its configuration is of its own side.
extension MixtureConfiguration {
    /// Of the encoder's blocks.
    public var ofEncoder: MixtureConfiguration { with(strata) }

    /// Of the decoder's blocks.
    public var ofDecoder: MixtureConfiguration { with(decoderStrata ?? strata) }

    /// Of strata each as large as the larger of both sides': figures over all blocks are of its experts. Those of a block are in it by
    /// `expertPlaces`.
    public var widest: MixtureConfiguration { with(decoderStrata.map { zip($0, strata).map { max($0, $1) } } ?? strata) }

    /// The same with these strata.
    public func with(encoder: [Int], decoder: [Int]) -> MixtureConfiguration {
        var sides = with(encoder)
        if decoder != encoder { sides.decoderStrata = decoder }
        return sides
    }

    private func with(_ strata: [Int]) -> MixtureConfiguration {
        var side = self
        (side.strata, side.decoderStrata) = (strata, nil)
        return side
    }

    /// The strata for people: "4-4", or "4-4, decoder 2-2".
    public var strataText: String {
        func text(_ strata: [Int]) -> String { strata.map(String.init).joined(separator: "-") }
        return text(strata) + (decoderStrata.map { ", decoder \(text($0))" } ?? "")
    }
}

/// The global ids that the experts of some strata have among as many strata that are as large or larger: places in a stratum stay.
public func expertPlaces(of strata: [Int], in wider: [Int]) -> [Int] {
    precondition(strata.count == wider.count && zip(strata, wider).allSatisfy { $0 <= $1 }, "every expert has a place")
    var places: [Int] = [], first = 0
    for (size, room) in zip(strata, wider) {
        places += first..<first + size
        first += room
    }
    return places
}
