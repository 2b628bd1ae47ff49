import TensorCore

/// Viridis: a scale of colours of even perceptual steps that stays one in grey and for the colour-blind.
/// Source: matplotlib's `viridis`, sampled at tenths; between them, straight lines.
enum SequentialScale {
    private static let anchors: [UInt32] = [
        0x440154, 0x482475, 0x414487, 0x355F8D, 0x2A788E, 0x21918C, 0x22A884, 0x44BF70, 0x7AD151, 0xBDDF26, 0xFDE725,
    ]

    /// The colour of a fraction, as `#rrggbb`; of one beyond 0 to 1, the end's.
    static func colour(_ fraction: Double) -> String {
        let place = min(max(fraction.isNaN ? 0 : fraction, 0), 1) * Double(anchors.count - 1)
        let index = min(Int(clamped: place), anchors.count - 2), part = place - Double(index)
        var digits = "#"
        for shift in [16, 8, 0] as [UInt32] {
            let low = Double((anchors[index] >> shift) & 0xFF), high = Double((anchors[index + 1] >> shift) & 0xFF)
            let hexadecimal = String(Int((low + (high - low) * part).rounded()), radix: 16)
            digits += (hexadecimal.count == 1 ? "0" : "") + hexadecimal
        }
        return digits
    }
}
