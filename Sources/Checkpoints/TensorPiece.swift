import Foundation

/// What a shard's `__metadata__` says, under a tensor's name, of a tensor that it holds a part of: the part stands in the shard
/// as a vector, and this is where it belongs.
struct TensorPiece: Codable, Equatable {
    /// The whole tensor's element that the part begins with.
    let begin: Int
    /// The shape of the whole tensor.
    let shape: [Int]

    init(begin: Int, shape: [Int]) {
        self.begin = begin
        self.shape = shape
    }

    /// The piece that a text describes; nil if it describes none.
    init?(_ text: String) {
        guard let piece = try? JSONDecoder().decode(Self.self, from: Data(text.utf8)) else { return nil }
        self = piece
    }

    var text: String { "{\"begin\":\(begin),\"shape\":[\(shape.map(String.init).joined(separator: ","))]}" }
}
