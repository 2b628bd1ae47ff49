import MixtureOfExperts

/// Bytes of rows on their four ways between tokens and the experts of a gate: there and back, forward and backward. A token's row goes
/// once to a place that has several of its experts; rows that are not rounded do so in backward too, and the gradients of a token's
/// first two choices come back from one place as their sum.
struct RowTraffic {
    private let placement: ExpertPlacement
    private let mixture: MixtureConfiguration
    /// Bytes of a row that is sent.
    let rowBytes: Double
    private let wire: WireFormat

    /// Of blocks of a kind in a model of width `dim`.
    init(_ kind: BlockPlan, _ placement: ExpertPlacement, dim: Int, wire: WireFormat) {
        mixture = kind.mixture
        self.placement = placement
        rowBytes = Double(wire.rowBytes(dim / mixture.rowsPerToken))
        self.wire = wire
    }

    /// How often rows are sent: to the experts and back, forward and backward; where rows are shared, which they are before, and
    /// beside gradients that are not rounded what weighs them.
    func ways(atStratum stratum: Int) -> Int {
        guard isShared(atStratum: stratum) else { return 4 }
        return wire == .float32 ? 6 : 5
    }

    /// Whether places tell each other which rows are shared.
    private func isShared(atStratum stratum: Int) -> Bool {
        placement.sharesRows(mixture, visible: mixture.visibleExperts(atStratum: stratum))
    }

    /// Bytes between a token of each part's places, which see the experts alike, and each place, of all four ways, at the gate of a
    /// stratum, to which tokens come as `routing` says: [part][place]. `rows` of a token are for each expert.
    func bytes(_ rows: [Double], _ routing: UniformRouting, atStratum stratum: Int) -> [[Double]] {
        stride(from: 0, to: placement.places, by: placement.partSize).map {
            bytes(rows, routing, atStratum: stratum, seenFrom: $0)
        }
    }

    private func bytes(
        _ rows: [Double], _ routing: UniformRouting, atStratum stratum: Int, seenFrom viewer: Int
    ) -> [Double] {
        let choices = rows.reduce(0, +), arriving = routing.arrivals[stratum] * Double(mixture.rowsPerToken)
        let isShared = isShared(atStratum: stratum)
        return (0..<placement.places).map { place in
            let own = placement.experts(of: place, seenFrom: viewer).map { rows[$0] }, count = own.reduce(0, +)
            guard isShared, arriving > 0, choices > 0 else { return 4 * count * rowBytes }
            let bytes =
                wire.sharedRows(own, ofTokens: arriving, choices: choices) * rowBytes
                + count * Double(DispatchPlan.bytesOfChoice.plan)
            return wire == .float32 ? bytes + count * Double(DispatchPlan.bytesOfChoice.gradients) : bytes
        }
    }

    /// What leaves a place of `bytes[part][place]`, the mean.
    static func leaving(_ bytes: [[Double]]) -> Double {
        let places = bytes[0].count, partSize = places / bytes.count
        let staying = (0..<places).reduce(0) { $0 + bytes[$1 / partSize][$1] }
        return bytes.reduce(0) { $0 + $1.reduce(0, +) } / Double(bytes.count) - staying / Double(places)
    }
}
