import Foundation

/// One axis of a chart: which values it shows, where each of them is, and where it has ticks.
struct AxisScale {
    enum Kind { case linear, logarithmic }

    let kind: Kind
    let domain: ClosedRange<Double>
    let ticks: [Double]
    /// The distance of ticks; of logarithmic ones, the first.
    private let step: Double
    /// The pixels of the domain's ends.
    private var start = 0.0
    private var end = 1.0

    private init(kind: Kind, domain: ClosedRange<Double>, ticks: [Double], step: Double) {
        (self.kind, self.domain, self.ticks, self.step) = (kind, domain, ticks, step)
    }

    /// Beyond this an axis ends; differences and powers of what is within it are numbers.
    private static let largest = 1e100

    /// A linear axis with about `count` ticks at multiples of 1, 2 or 5 times a power of ten; it ends at ticks.
    static func linear(_ values: ClosedRange<Double>, count: Int = 5) -> AxisScale {
        let values = widened(values.clamped(to: -largest...largest))
        let step = roundStep(values.upperBound - values.lowerBound, count: count)
        let first = floor(values.lowerBound / step + 1e-9), last = ceil(values.upperBound / step - 1e-9)
        return AxisScale(
            kind: .linear, domain: first * step...last * step, ticks: multiples(of: step, first, last), step: step)
    }

    /// The axis of updates: whole numbers, and no room beyond the last; from 0 where the first update is near it.
    static func updates(_ updates: ClosedRange<Double>, count: Int = 7) -> AxisScale {
        var values = updates.lowerBound < updates.upperBound ? updates : updates.lowerBound - 1...updates.upperBound + 1
        let step = max(1, roundStep(values.upperBound - values.lowerBound, count: count))
        if (0...step).contains(values.lowerBound) { values = 0...values.upperBound }
        let first = ceil(values.lowerBound / step - 1e-9), last = floor(values.upperBound / step + 1e-9)
        return AxisScale(kind: .linear, domain: values, ticks: multiples(of: step, first, last), step: step)
    }

    /// A logarithmic axis of positive values from one number of the kind 1, 2 or 5 times a power of ten to another, with ticks
    /// at powers of ten and, where these are fewer than three, at 2 and 5 times them.
    static func logarithmic(_ values: ClosedRange<Double>) -> AxisScale {
        precondition(values.lowerBound > 0)
        let values = values.clamped(to: 1 / largest...largest)
        let decades = Int(floor(log10(values.lowerBound))) - 1...Int(ceil(log10(values.upperBound))) + 1
        let fine = decades.flatMap { decade in [1, 2, 5].map { $0 * pow(10, Double(decade)) } }
        let low = fine.last { $0 <= values.lowerBound * (1 + 1e-9) } ?? fine[0]
        var high = fine.first { $0 >= values.upperBound * (1 - 1e-9) } ?? fine[fine.count - 1]
        if high <= low { high = fine.first { $0 > low } ?? high }
        let powers = decades.map { pow(10, Double($0)) }.filter { low <= $0 && $0 <= high }
        let ticks = powers.count >= 3 ? powers : fine.filter { low <= $0 && $0 <= high }
        return AxisScale(kind: .logarithmic, domain: low...high, ticks: thinned(ticks), step: low)
    }

    /// Values of whatever size: logarithmic where they are positive and the largest is more than a hundred times the least.
    static func fitting(_ values: ClosedRange<Double>) -> AxisScale {
        values.lowerBound > 0 && values.upperBound > 100 * values.lowerBound ? logarithmic(values) : linear(values)
    }

    /// The same axis from one pixel to another.
    func placed(from start: Double, to end: Double) -> AxisScale {
        var copy = self
        (copy.start, copy.end) = (start, end)
        return copy
    }

    /// The pixel of a value; of one beyond the axis, its end.
    func position(_ value: Double) -> Double {
        let value = min(max(value, domain.lowerBound), domain.upperBound)
        func place(_ value: Double) -> Double { kind == .linear ? value : log(value) }
        let low = place(domain.lowerBound)
        return start + (end - start) * (place(value) - low) / (place(domain.upperBound) - low)
    }

    func label(_ tick: Double) -> String {
        NumberText.tick(tick, step: kind == .linear ? step : pow(10, floor(log10(tick) + 1e-9)))
    }

    /// The smallest of 1, 2 and 5 times a power of ten that cuts `width` into at most `count` parts.
    static func roundStep(_ width: Double, count: Int) -> Double {
        let power = pow(10, floor(log10(width / Double(count)) + 1e-9))
        return [1, 2, 5, 10].map { $0 * power }.first { width / $0 <= Double(count) * (1 + 1e-9) } ?? 10 * power
    }

    /// A single value gets an axis around it.
    private static func widened(_ values: ClosedRange<Double>) -> ClosedRange<Double> {
        let size = max(abs(values.lowerBound), abs(values.upperBound))
        guard values.upperBound - values.lowerBound <= size * 1e-9 else { return values }
        return size == 0 ? 0...1 : values.lowerBound - size / 10...values.upperBound + size / 10
    }

    private static func multiples(of step: Double, _ first: Double, _ last: Double) -> [Double] {
        first <= last ? stride(from: first, through: last, by: 1).map { $0 * step } : []
    }

    private static func thinned(_ ticks: [Double]) -> [Double] {
        let stride = (ticks.count + 7) / 8
        return ticks.enumerated().filter { $0.offset % stride == 0 }.map(\.element)
    }
}
