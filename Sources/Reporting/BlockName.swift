import Evaluation

/// A block of experts, as charts name it. Layers count from 0, as in parameter names.
struct BlockName: Hashable, Comparable, CustomStringConvertible {
    var side: RoutingAnalysis.Side
    var layer: Int

    var description: String { "\(side == .encoder ? "enc" : "dec") \(layer)" }

    static func < (left: BlockName, right: BlockName) -> Bool {
        (left.side == .encoder ? 0 : 1, left.layer) < (right.side == .encoder ? 0 : 1, right.layer)
    }
}

/// A gate of a block: that of a stratum, from 0.
struct GateName: Hashable, Comparable, CustomStringConvertible {
    var block: BlockName
    var gate: Int

    init(_ side: RoutingAnalysis.Side, _ layer: Int, _ gate: Int) {
        block = BlockName(side: side, layer: layer)
        self.gate = gate
    }

    var description: String { "\(block) gate \(gate)" }

    static func < (left: GateName, right: GateName) -> Bool {
        left.block == right.block ? left.gate < right.gate : left.block < right.block
    }
}
