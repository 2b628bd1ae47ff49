import Foundation
import TensorCore

/// Numbers as people read them, on a page or on a terminal.
public enum NumberText {
    /// A coordinate in pixels, to a hundredth.
    static func pixels(_ value: Double) -> String {
        precondition(value.isFinite && abs(value) < 1e9, "a mark must be at a finite place")
        let hundredths = Int((value * 100).rounded())
        let (whole, part) = abs(hundredths).quotientAndRemainder(dividingBy: 100)
        let sign = hundredths < 0 ? "-" : ""
        if part == 0 { return "\(sign)\(whole)" }
        if part % 10 == 0 { return "\(sign)\(whole).\(part / 10)" }
        return "\(sign)\(whole).\(part < 10 ? "0" : "")\(part)"
    }

    /// The label of a tick; `step` is the distance to the next, which decides how many decimals are needed.
    static func tick(_ value: Double, step: Double) -> String {
        let size = abs(value)
        if size < step / 1000 { return "0" }
        if size >= 1e15 || step < 9.9e-5 { return scientific(value) }
        for (unit, suffix) in [(1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k")] where size >= unit && size >= 10_000 {
            return decimal(value / unit, places(step / unit)) + suffix
        }
        return decimal(value, places(step))
    }

    /// A figure with four significant digits, or all the digits of a whole number's; "nan" and "inf" for what is not finite.
    static func figure(_ value: Double) -> String {
        guard value.isFinite else { return value.isNaN ? "nan" : value < 0 ? "-inf" : "inf" }
        let size = abs(value)
        if size == 0 { return "0" }
        if size >= 1e15 || size < 1e-3 { return scientific(value, digits: 4) }
        if size >= 1000 || abs(value - value.rounded()) < size * 1e-12 { return count(Int(value.rounded())) }
        return decimal(value, 3 - Int(floor(log10(size))))
    }

    /// A whole number, thousands separated.
    public static func count(_ value: Int) -> String {
        var digits = Substring(String(value.magnitude)), groups: [Substring] = []
        while digits.count > 3 {
            groups.insert(digits.suffix(3), at: 0)
            digits.removeLast(3)
        }
        return (value < 0 ? "-" : "") + ([digits] + groups).joined(separator: ",")
    }

    /// Without the fraction; "–" for what is no number.
    public static func count(_ value: Double) -> String { value.isFinite ? count(Int(clamped: value)) : "–" }

    public static func decimal(_ value: Double, _ places: Int) -> String { String(format: "%.\(places)f", value) }

    /// Bytes as MiB, to a tenth, without the unit.
    public static func mebibytes(_ bytes: Int) -> String { decimal(Double(bytes) / 1_048_576, 1) }

    public static func percent(_ fraction: Double) -> String { decimal(fraction * 100, 1) + "%" }

    /// Decimals that tell multiples of `step`, a round number, apart.
    private static func places(_ step: Double) -> Int {
        (0...9).first { places in
            let scaled = step * pow(10, Double(places))
            return abs(scaled - scaled.rounded()) < 1e-6 * scaled
        } ?? 9
    }

    private static func scientific(_ value: Double, digits: Int = 3) -> String {
        let exponent = Int(floor(log10(abs(value)) + 1e-12))
        let mantissa = decimal(value / pow(10, Double(exponent)), digits - 1)
        let trimmed = mantissa.contains(".") ? mantissa.replacing(/\.?0+$/, with: "") : mantissa
        return "\(trimmed)e\(exponent)"
    }
}

extension NumberText {
    /// Seconds as people say them; "–" for what is no time.
    public static func duration(_ seconds: Double) -> String {
        guard seconds.isFinite, seconds >= 0, seconds < 1e9 else { return "–" }
        let whole = Int(seconds.rounded())
        func padded(_ value: Int) -> String { value < 10 ? "0\(value)" : "\(value)" }
        if whole >= 3600 { return "\(whole / 3600)h\(padded(whole % 3600 / 60))m" }
        if whole >= 60 { return "\(whole / 60)m\(padded(whole % 60))s" }
        return "\(whole)s"
    }
}
