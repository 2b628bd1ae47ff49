import TensorCore

/// The F32 tensors of several safetensors files together: each whole in one of them, or in pieces that complete each other.
public final class TensorCatalog: Sendable {
    private struct Piece {
        let file: SafeTensorsFile
        let entry: SafeTensors.Entry
        /// Of the whole tensor's elements.
        let elements: Range<Int>
    }

    private struct Entry {
        let shape: [Int]
        /// In order, from the first element to the last, none twice.
        let pieces: [Piece]
    }

    private let entries: [String: Entry]

    /// The tensors of one file.
    ///
    /// - Throws: `CheckpointError.damaged`.
    public convenience init(path: String) throws {
        let file: SafeTensorsFile
        do { file = try SafeTensorsFile(path: path) } catch { throw CheckpointError.damaged(path: path, reason: "\(error)") }
        try self.init([file]) { throw $0 }
    }

    /// `report` is told of every tensor that is not there exactly once, and may throw what it is told.
    init(_ files: [SafeTensorsFile], report: (CheckpointError) throws -> Void) rethrows {
        var pieces: [String: [Piece]] = [:], shapes: [String: [Int]] = [:]
        for file in files {
            for entry in file.entries.values {
                func damaged(_ reason: String) throws {
                    try report(.damaged(path: file.path, reason: "\(entry.name) \(reason)"))
                }
                guard entry.type == .float32 else {
                    try damaged("must be F32, but is \(entry.type.rawValue)")
                    continue
                }
                var shape = entry.shape, begin = 0
                if let text = file.metadata[entry.name] {
                    guard let piece = TensorPiece(text), let count = Self.count(piece.shape), entry.shape.count == 1,
                        piece.begin >= 0, piece.begin <= count - entry.count
                    else {
                        try damaged("must be a piece that lies within its tensor, but is \(entry.shape) of \(text.prefix(80))")
                        continue
                    }
                    (shape, begin) = (piece.shape, piece.begin)
                }
                if let other = shapes.updateValue(shape, forKey: entry.name), other != shape {
                    try damaged("must have one shape, but has \(shape) here and \(other) elsewhere")
                }
                pieces[entry.name, default: []].append(
                    Piece(file: file, entry: entry, elements: begin ..< begin + entry.count))
            }
        }
        var entries: [String: Entry] = [:]
        for (name, shape) in shapes {
            let ordered = pieces[name]!.sorted { $0.elements.lowerBound < $1.elements.lowerBound }
            var end = 0
            for piece in ordered {
                if piece.elements.lowerBound != end || (piece.elements.isEmpty && ordered.count > 1) { break }
                end = piece.elements.upperBound
            }
            guard end == ordered.last!.elements.upperBound, end == Self.count(shape) else {
                let held = ordered.map { "\($0.elements.lowerBound) to \($0.elements.upperBound)" }.joined(separator: ", ")
                try report(.damaged(
                    path: ordered[0].file.path,
                    reason: "\(name) of shape \(shape) must have each element once, but the files hold elements \(held)"))
                continue
            }
            entries[name] = Entry(shape: shape, pieces: ordered)
        }
        self.entries = entries
    }

    /// The elements of a tensor of that shape; nil if it is none.
    private static func count(_ shape: [Int]) -> Int? {
        var count = 1
        for extent in shape {
            let (product, overflow) = count.multipliedReportingOverflow(by: extent)
            guard extent >= 0, !overflow else { return nil }
            count = product
        }
        return count
    }

    /// The tensors' names, sorted.
    public var names: [String] { entries.keys.sorted() }

    /// Nil if there is no tensor of that name.
    public func shape(_ name: String) -> [Int]? { entries[name]?.shape }

    /// Copies `elements` of a tensor that exists to `target`, from whichever pieces they are in.
    ///
    /// - Throws: `FileError`.
    public func read(_ name: String, _ elements: Range<Int>, into target: UnsafeMutablePointer<Float>) throws {
        guard let entry = entries[name] else { preconditionFailure("\(name) is not in the catalog") }
        for piece in entry.pieces {
            let part = piece.elements.clamped(to: elements)
            guard !part.isEmpty else { continue }
            try piece.file.read(
                piece.entry, from: 4 * (part.lowerBound - piece.elements.lowerBound),
                into: UnsafeMutableRawBufferPointer(start: target + (part.lowerBound - elements.lowerBound), count: 4 * part.count))
        }
    }
}
