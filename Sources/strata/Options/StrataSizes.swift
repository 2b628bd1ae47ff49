/// The experts of each stratum, of text such as "4,4".
///
/// - Throws: `CommandFailure` for other text; `option` is what it was given with.
func strataSizes(_ text: String, of option: String = "--strata") throws -> [Int] {
    let sizes = text.split(separator: ",", omittingEmptySubsequences: false).map { Int($0) ?? 0 }
    guard sizes.count <= 64, sizes.allSatisfy({ (1...65_536).contains($0) }) else {
        throw CommandFailure(
            .usage,
            "\(option) must be 1 to 64 numbers from 1 to 65536 with commas between them, such as 4,4, but is \(text)")
    }
    return sizes
}

/// One of the words that an option takes.
///
/// - Throws: `CommandFailure` for another.
func namedChoice<Choice: RawRepresentable & CaseIterable>(_ text: String, of option: String) throws -> Choice
where Choice.RawValue == String {
    guard let choice = Choice(rawValue: text) else {
        let names = Choice.allCases.map(\.rawValue).joined(separator: ", ")
        throw CommandFailure(.usage, "\(option) must be one of \(names), but is \(text)")
    }
    return choice
}
