/// The pieces of a vocabulary by their bytes: from the root a byte leads to a node, and a node may be a token.
struct PieceTrie: Sendable {
    static let root: Int32 = 0
    static let none: Int32 = -1

    /// By node: the token that it is, -1 for none; its first edge among `edges`, which the next node's first one ends.
    private var tokens: [Int32] = []
    private var firstEdges: [Int32] = []
    private var edges: [(byte: UInt8, node: Int32)] = []
    /// The root has edges for nearly all bytes.
    private var rootChildren = [Int32](repeating: none, count: 256)

    /// Tokens are places in `pieces`; an empty one is left out.
    init(_ pieces: [[UInt8]]) {
        var children: [[UInt8: Int32]] = [[:]]
        tokens = [-1]
        for (token, piece) in pieces.enumerated() where !piece.isEmpty {
            var node = 0
            for byte in piece {
                if let child = children[node][byte] {
                    node = Int(child)
                } else {
                    children[node][byte] = Int32(tokens.count)
                    node = tokens.count
                    children.append([:])
                    tokens.append(-1)
                }
            }
            tokens[node] = Int32(token)
        }
        for (byte, child) in children[0] { rootChildren[Int(byte)] = child }
        for children in children {
            firstEdges.append(Int32(edges.count))
            edges += children.sorted { $0.key < $1.key }.map { (byte: $0.key, node: $0.value) }
        }
        firstEdges.append(Int32(edges.count))
    }

    /// The node that a byte leads to; `none` if it leads nowhere.
    func child(_ node: Int32, _ byte: UInt8) -> Int32 {
        if node == Self.root { return rootChildren[Int(byte)] }
        for edge in Int(firstEdges[Int(node)])..<Int(firstEdges[Int(node) + 1]) where edges[edge].byte == byte {
            return edges[edge].node
        }
        return Self.none
    }

    /// -1 where a node is only the way to others.
    func token(_ node: Int32) -> Int32 { tokens[Int(node)] }
}
