import Autograd
import MixtureOfExperts

/// What the mixture blocks of a model that have the same experts are made of, and what a token costs there: all blocks or, where the
/// sides have other strata, those of one side.
struct BlockPlan {
    /// Blocks.
    let count: Int
    let mixture: MixtureConfiguration
    /// How uniform routing spreads tokens.
    let routing: UniformRouting
    /// The same with as many experts as may ever exist.
    let largestRouting: UniformRouting
    /// Parameters of each expert of a block, by global id, and its multiply-adds for a row.
    let parametersOfExpert: [Int]
    let productsOfExpert: [Int]
    /// Parameters of each expert that training changes.
    let trainedOfExpert: [Int]
    /// Elements of the matrices of each expert that are computed of parameters.
    let derivedOfExpert: [Int]
    /// Multiply-adds of a row's way through the gate of each stratum of a block.
    let gateProducts: [Double]

    /// `slices` are the parameters of these blocks, and maybe others that are no block's; `derived` the matrices that are computed
    /// of them.
    init(
        _ mixture: MixtureConfiguration, count: Int, _ slices: [ParameterSlice], derived: [ParameterSlice],
        isTrained: (String) -> Bool, requestedCapacity: Double?
    ) {
        self.count = count
        self.mixture = mixture
        routing = UniformRouting(mixture, requestedCapacity: requestedCapacity)
        largestRouting = UniformRouting(mixture.ofAllExperts, requestedCapacity: requestedCapacity)
        func byExpert(_ slices: [ParameterSlice]) -> [(parameters: Int, products: Int)] {
            Self.byExpert(slices, experts: mixture.experts, blocks: count)
        }
        let all = byExpert(slices), computed = byExpert(derived)
        parametersOfExpert = all.map(\.parameters)
        derivedOfExpert = computed.map(\.parameters)
        productsOfExpert = zip(all, computed).map { $0.products + $1.products }
        trainedOfExpert = byExpert(slices.filter { isTrained($0.name) }).map(\.parameters)
        gateProducts = Self.byGate(slices, mixture, blocks: count)
    }

    /// Of the experts of one block.
    private static func byExpert(
        _ slices: [ParameterSlice], experts: Int, blocks: Int
    ) -> [(parameters: Int, products: Int)] {
        var counts = [(parameters: Int, products: Int)](repeating: (0, 0), count: experts)
        for slice in slices {
            // A pattern would be read anew for each of what may be a hundred thousand experts.
            let names = slice.name.split(separator: ".")
            guard let place = names.firstIndex(of: "experts"), names[place - 1] == "moe", place + 1 < names.count,
                let id = Int(names[place + 1])
            else {
                continue
            }
            counts[id].parameters += slice.range.count
            if slice.shape.count == 2 { counts[id].products += slice.range.count }
        }
        return counts.map { ($0.parameters / max(blocks, 1), $0.products / max(blocks, 1)) }
    }

    /// Multiply-adds of a whole row at each gate of one block: those of its parts together, of rows that are cut.
    private static func byGate(_ slices: [ParameterSlice], _ mixture: MixtureConfiguration, blocks: Int) -> [Double] {
        mixture.strata.indices.map { stratum in
            slices.reduce(0.0) { sum, slice in
                let isMatrix = slice.shape.count == 2 && slice.name.contains(".moe.gates.\(stratum).")
                return isMatrix ? sum + Double(slice.range.count * mixture.rowsPerToken) / Double(blocks) : sum
            }
        }
    }
}
