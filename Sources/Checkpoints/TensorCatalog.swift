import Files

/// The F32 tensors of several safetensors files together: each whole in one of them, or in pieces that complete each other.
public final class TensorCatalog: NamedTensors {
    private struct Piece {
        let file: SafeTensorsFile
        let entry: SafeTensors.Entry
        /// The elements of the whole tensor that the piece holds.
        let elements: Range<Int>
    }

    private struct Entry {
        let shape: [Int]
        /// The pieces in order, from the first element to the last, none twice.
        let pieces: [Piece]
    }

    private let entries: [String: Entry]

    /// The tensors of one file.
    ///
    /// - Throws: `CheckpointError.damaged`; `FileError` if the file cannot be read, and may be sound.
    public convenience init(path: String) throws {
        let file: SafeTensorsFile
        do { file = try SafeTensorsFile(path: path) } catch { throw CheckpointError(damage: error) ?? error }
        try self.init([file]) { throw $0 }
    }

    /// `report` is told of every tensor that is not there exactly once, and may throw what it is told.
    init(_ files: [SafeTensorsFile], report: (CheckpointError) throws -> Void) throws {
        var found: [String: (shape: [Int], pieces: [Piece])] = [:]
        for file in files {
            for entry in file.entries.values {
                do {
                    let (shape, piece) = try Self.piece(entry, of: file)
                    let known = found[entry.name] ?? (shape, [])
                    guard known.shape == shape else {
                        throw Self.damaged(
                            file, entry, "must have one shape, but has \(shape) here and \(known.shape) elsewhere")
                    }
                    found[entry.name] = (shape, known.pieces + [piece])
                } catch let error as CheckpointError {
                    try report(error)
                }
            }
        }
        var entries: [String: Entry] = [:]
        for (name, tensor) in found {
            let pieces = tensor.pieces.sorted { $0.elements.lowerBound < $1.elements.lowerBound }
            if Self.completeEachOther(pieces, tensor.shape) {
                entries[name] = Entry(shape: tensor.shape, pieces: pieces)
            } else {
                let held = pieces.map { "\($0.elements.lowerBound) to \($0.elements.upperBound)" }.joined(separator: ", ")
                try report(
                    Self.damaged(
                        pieces[0].file, pieces[0].entry,
                        "of shape \(tensor.shape) must have each element once, but the files hold elements \(held)"))
            }
        }
        self.entries = entries
    }

    /// What an entry holds of which tensor; the whole, unless the file says that it is a piece.
    private static func piece(_ entry: SafeTensors.Entry, of file: SafeTensorsFile) throws -> (shape: [Int], Piece) {
        guard entry.type == .float32 else { throw damaged(file, entry, "must be F32, but is \(entry.type.rawValue)") }
        guard let text = file.metadata[entry.name] else {
            return (entry.shape, Piece(file: file, entry: entry, elements: 0..<entry.count))
        }
        guard let piece = TensorPiece(text), let count = count(piece.shape), entry.shape.count == 1, piece.begin >= 0,
            piece.begin <= count - entry.count
        else {
            throw damaged(
                file, entry,
                "must be a piece that lies within its tensor, but has shape \(entry.shape) and is \(text.prefix(80))")
        }
        return (piece.shape, Piece(file: file, entry: entry, elements: piece.begin..<piece.begin + entry.count))
    }

    private static func completeEachOther(_ pieces: [Piece], _ shape: [Int]) -> Bool {
        var end = 0
        for piece in pieces {
            guard piece.elements.lowerBound == end, pieces.count == 1 || !piece.elements.isEmpty else { return false }
            end = piece.elements.upperBound
        }
        return end == count(shape)
    }

    private static func damaged(_ file: SafeTensorsFile, _ entry: SafeTensors.Entry, _ reason: String) -> CheckpointError {
        .damaged(path: file.path, reason: "\(entry.name) \(reason)")
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

    /// The shape of a tensor; nil if there is none of that name.
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
                into: UnsafeMutableRawBufferPointer(
                    start: target + (part.lowerBound - elements.lowerBound), count: 4 * part.count))
        }
    }
}
