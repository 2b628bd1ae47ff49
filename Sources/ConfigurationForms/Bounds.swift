/// The real numbers that a key allows. Infinities and NaN are never among them.
public enum Bounds: Sendable {
    case atLeast(Double)
    case above(Double)
    /// A half-open interval.
    case from(Double, below: Double)
    case between(Double, Double)

    /// Whether the number is one of those allowed.
    public func contains(_ number: Double) -> Bool {
        switch self {
        case .atLeast(let lower): return number >= lower
        case .above(let lower): return number > lower
        case .from(let lower, let upper): return number >= lower && number < upper
        case .between(let lower, let upper): return number >= lower && number <= upper
        }
    }

    /// What is allowed, as it stands after "must be".
    public var description: String {
        switch self {
        case .atLeast(let lower): return "a number of at least \(lower.withoutTrailingZero)"
        case .above(let lower): return "a number greater than \(lower.withoutTrailingZero)"
        case .from(let lower, let upper):
            return "a number from \(lower.withoutTrailingZero) up to, not including, \(upper.withoutTrailingZero)"
        case .between(let lower, let upper):
            return "a number from \(lower.withoutTrailingZero) to \(upper.withoutTrailingZero)"
        }
    }
}

extension Double {
    fileprivate var withoutTrailingZero: String {
        let text = "\(self)"
        return text.hasSuffix(".0") ? String(text.dropLast(2)) : text
    }
}
