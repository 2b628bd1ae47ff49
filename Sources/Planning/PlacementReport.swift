import Files
import Reporting

extension PlacementProposal {
    private struct Document: Encodable {
        struct Block: Encodable {
            let name: String
            let choices: Int
            let pairs, proposedPairs: Int
            let busiest, proposedBusiest: Double
            let placement: [[Int]]
        }

        let expertParallel: Int
        let blocks: [Block]
    }

    public func json() throws -> String {
        let file = file
        return try JSONText.pretty(
            Document(
                expertParallel: expertParallel,
                blocks: blocks.map {
                    Document.Block(
                        name: $0.name, choices: $0.choices, pairs: $0.usual, proposedPairs: $0.proposed, busiest: $0.usualLoad,
                        proposedBusiest: $0.proposedLoad, placement: file.blocks[$0.name]!)
                }), keys: .convertToSnakeCase)
    }

    /// A line for each block, and all of them together.
    public var text: String {
        func row(_ name: String, _ blocks: [Block]) -> [String] {
            let choices = max(1, blocks.reduce(0) { $0 + $1.choices })
            func share(_ pairs: KeyPath<Block, Int>) -> String {
                NumberText.decimal(100 * Double(blocks.reduce(0) { $0 + $1[keyPath: pairs] }) / Double(choices), 1) + " %"
            }
            func busiest(_ load: KeyPath<Block, Double>) -> String {
                NumberText.decimal(blocks.map { $0[keyPath: load] }.max() ?? 1, 2) + "×"
            }
            return [
                name, NumberText.count(choices), share(\.usual), share(\.proposed), busiest(\.usualLoad),
                busiest(\.proposedLoad),
            ]
        }
        let table = Table(
            header: ["block", "choices", "pairs", "proposed", "busiest rank", "proposed"],
            rows: blocks.map { row($0.name, [$0]) } + [row("together", blocks)])
        return "experts on \(expertParallel) ranks of a group; pairs: of a token's choices, on one rank, over all choices; "
            + "of two choices each saves a row\n" + table.text
    }
}
