/// Where the sentences of a packed batch begin and end: sentence i is rows `offsets[i] ..< offsets[i + 1]`.
///
/// Batches are packed, never padded: the tokens of all sentences form one matrix, and only attention and
/// positions look at the boundaries.
public struct Segments: Equatable, Sendable {
    /// count + 1 ascending row numbers, the first 0.
    public let offsets: [Int]

    public init(offsets: [Int]) {
        precondition(offsets.first == 0, "offsets must begin with 0")
        self.offsets = offsets
    }

    public init(lengths: some Sequence<Int>) {
        var offsets = [0]
        for length in lengths { offsets.append(offsets[offsets.count - 1] + length) }
        self.offsets = offsets
    }

    public static let none = Segments(offsets: [0])

    /// The number of sentences.
    public var count: Int { offsets.count - 1 }
    /// The number of rows of all sentences together.
    public var rows: Int { offsets[offsets.count - 1] }
    public var longest: Int { (0..<count).reduce(0) { max($0, length($1)) } }

    public func length(_ segment: Int) -> Int { offsets[segment + 1] - offsets[segment] }
    public func range(_ segment: Int) -> Range<Int> { offsets[segment]..<offsets[segment + 1] }
}
