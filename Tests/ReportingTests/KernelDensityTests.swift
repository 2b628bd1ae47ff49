import Foundation
import Testing

@testable import Reporting

@Suite struct KernelDensityTests {
    /// Σ density · step over all that is not far off.
    private func integral(_ density: KernelDensity) -> Double {
        let low = density.values[0] - 8 * density.bandwidth, high = density.values.last! + 8 * density.bandwidth
        let step = (high - low) / 20_000
        return (0..<20_000).reduce(0) { $0 + density.density(at: low + (Double($1) + 0.5) * step) * step }
    }

    @Test(arguments: [[1.0], [2, 2, 2], [0, 1, 3, 7], [-5, 0.1, 0.2, 0.3, 40]]) func itIntegratesToOne(values: [Double]) {
        #expect(abs(integral(KernelDensity(values, narrowest: 0.05)) - 1) < 1e-6)
    }

    @Test func oneValueIsAGaussian() {
        let density = KernelDensity([3], narrowest: 0.5)
        #expect(density.bandwidth == 0.5)
        #expect(abs(density.density(at: 3) - 1 / (0.5 * (2 * Double.pi).squareRoot())) < 1e-12)
        #expect(abs(density.density(at: 3.5) / density.density(at: 3) - exp(-0.5)) < 1e-12)
    }

    @Test func theBandwidthIsSilvermans() {
        // Deviation √2.5 = 1.58, interquartile range 2: 2 / 1.34 = 1.49 is the smaller.
        let density = KernelDensity([1, 2, 3, 4, 5], narrowest: 0.01)
        #expect(abs(density.bandwidth - 0.9 * (2 / 1.34) * pow(5, -0.2)) < 1e-12)
    }

    @Test func quantiles() {
        let density = KernelDensity([40, 10, 20, 30], narrowest: 1)
        #expect([0, 0.5, 0.75, 1].map(density.quantile) == [10, 25, 32.5, 40])
        #expect(KernelDensity.quantile(0.5, of: [7]) == 7)
    }
}
