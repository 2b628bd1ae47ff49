extension String {
    /// A number's digits with zeros before them, at least `length` together, so that names sort as their numbers do.
    package init(_ number: some FixedWidthInteger & UnsignedInteger, digits length: Int, radix: Int = 10) {
        let digits = String(number, radix: radix, uppercase: false)
        self = String(repeating: "0", count: Swift.max(0, length - digits.count)) + digits
    }
}
