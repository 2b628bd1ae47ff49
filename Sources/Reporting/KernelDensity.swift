import Foundation

/// A smooth density of a sample: a Gaussian around each value (Rosenblatt–Parzen), of the width of Silverman's rule of thumb,
/// 0.9 min(σ, interquartile range / 1.34) n^(−1/5).
struct KernelDensity {
    let values: [Double]
    let bandwidth: Double

    /// `narrowest` is the bandwidth of a sample that does not vary, and the least of any. The sample must not be empty.
    init(_ values: [Double], narrowest: Double) {
        precondition(!values.isEmpty && narrowest > 0)
        self.values = values.sorted()
        let count = Double(values.count), mean = values.reduce(0, +) / count
        let deviation = (values.reduce(0) { $0 + ($1 - mean) * ($1 - mean) } / max(count - 1, 1)).squareRoot()
        let range = (Self.quantile(0.75, of: self.values) - Self.quantile(0.25, of: self.values)) / 1.34
        let spread = range > 0 ? min(deviation, range) : deviation
        bandwidth = max(0.9 * spread * pow(count, -0.2), narrowest)
    }

    /// The density at a place; its integral over all numbers is 1.
    func density(at place: Double) -> Double {
        let sum = values.reduce(0) { sum, value in
            let distance = (place - value) / bandwidth
            return sum + exp(-0.5 * distance * distance)
        }
        return sum / (Double(values.count) * bandwidth * (2 * Double.pi).squareRoot())
    }

    func quantile(_ fraction: Double) -> Double { Self.quantile(fraction, of: values) }

    /// The quantile of sorted values; between two of them, on the straight line.
    static func quantile(_ fraction: Double, of sorted: [Double]) -> Double {
        let place = fraction * Double(sorted.count - 1), index = min(Int(place), max(sorted.count - 2, 0))
        let next = min(index + 1, sorted.count - 1)
        return sorted[index] + (sorted[next] - sorted[index]) * (place - Double(index))
    }
}
