import Foundation
import Testing

@testable import Reporting

@Suite struct SequentialScaleTests {
    private func luminance(_ colour: String) -> Double {
        let value = UInt32(colour.dropFirst(), radix: 16)!
        let parts = [16, 8, 0].map { shift in pow(Double((value >> UInt32(shift)) & 0xFF) / 255, 2.2) }
        return 0.2126 * parts[0] + 0.7152 * parts[1] + 0.0722 * parts[2]
    }

    @Test func endsAndAnchors() {
        #expect(SequentialScale.colour(0) == "#440154" && SequentialScale.colour(1) == "#fde725")
        #expect(SequentialScale.colour(0.5) == "#21918c")
        #expect(SequentialScale.colour(-3) == "#440154" && SequentialScale.colour(7) == "#fde725")
        // Halfway between #440154 and #482475.
        #expect(SequentialScale.colour(0.05) == "#461365")
    }

    @Test func moreIsLighter() {
        let luminances = (0...50).map { luminance(SequentialScale.colour(Double($0) / 50)) }
        for (darker, lighter) in zip(luminances, luminances.dropFirst()) { #expect(darker < lighter) }
    }
}
