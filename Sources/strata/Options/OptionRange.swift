/// Checks a number that an option was given.
///
/// - Throws: `CommandFailure` naming the option, what it allows, and what was given.
func require(_ option: String, _ value: Int, in range: ClosedRange<Int>) throws {
    guard !range.contains(value) else { return }
    throw CommandFailure(.usage, "\(option) must be \(range.lowerBound) to \(range.upperBound), but is \(value)")
}
