import Evaluation
import Files
import Foundation
import MixtureOfExperts
import Runs
import TransformerModel

/// Where experts might live so that those which one gate often sends a token to together are on one rank: the token's row goes there
/// once. Found from what `strata analyze` counted.
///
/// From the usual placement, experts of one stratum in two places change places as long as some pair of them brings more of such
/// tokens together, the best pair first, and no place gets busier than the busiest was. Every place keeps as many experts of a
/// stratum.
public struct PlacementProposal: Sendable {
    public struct Block: Sendable {
        public let name: String
        /// Choices that gates made.
        public let choices: Int
        /// Pairs of a token's choices at one gate that are of one place, as usual and as proposed.
        public let usual: Int
        public let proposed: Int
        /// The busiest place's choices, times their experts' widths, over the mean of places.
        public let usualLoad: Double
        public let proposedLoad: Double
        /// The place of each expert, by global id.
        public let places: [Int]
    }

    public let blocks: [Block]
    public let expertParallel: Int

    init(blocks: [Block], expertParallel: Int) {
        self.blocks = blocks
        self.expertParallel = expertParallel
    }

    /// - Throws: `FileError`; `RunError` if the run has no analysis that this model can be placed by.
    public init(of run: RunFolder, for model: ModelConfiguration, layout: ParallelLayout) throws {
        guard let mixture = model.mixture, mixture.pool == nil else {
            throw RunError(
                .usage,
                "--placement is for a mixture whose experts stay, but the model "
                    + (model.mixture == nil ? "is dense" : "has experts that come and go (model.moe.expert_pool)")
                    + ": leave it out")
        }
        guard layout.expertParallel > 1, layout.partSize == layout.expertParallel else {
            throw RunError(
                .usage,
                "--placement is for a mixture whose experts are spread over several ranks, each on one of a group: set --ranks, and "
                    + "parallel.expert_parallel to at most the experts of the smallest stratum")
        }
        guard FileManager.default.fileExists(atPath: run.analysis) else {
            throw RunError(.usage, "\(run.path): must have been analysed; run strata analyze \(run.path) first")
        }
        let contents = try FileReader(path: run.analysis).contents()
        guard let analysis = try? JSONDecoder().decode(RoutingAnalysis.self, from: contents) else {
            throw RunError(.data, "\(run.analysis): must be what strata analyze writes, but is not; run it again")
        }
        guard let pairs = analysis.gatePairs else {
            throw RunError(
                .data,
                "\(run.analysis): must have gate_pairs, but is of an earlier version; run strata analyze \(run.path) again")
        }
        expertParallel = layout.expertParallel
        blocks = try model.blockNames.map { name in
            let strata = model.mixture(ofBlock: name)!.strata, experts = strata.reduce(0, +)
            func isOf(_ side: RoutingAnalysis.Side, _ layer: Int) -> Bool { name == "\(side.rawValue).layers.\(layer).moe" }
            let own = pairs.filter { isOf($0.side, $0.layer) }, loads = analysis.expertLoad.filter { isOf($0.side, $0.layer) }
            guard own.first.map({ analysis.strata(of: $0.side) }) == strata, own.allSatisfy({ $0.isOf(experts) }),
                !loads.isEmpty,
                loads.allSatisfy({
                    RoutingAnalysis.areCounts($0.first, of: experts) && RoutingAnalysis.areCounts($0.second, of: experts)
                })
            else {
                throw RunError(
                    .data,
                    "\(run.analysis): must have the experts of strata \(strata) in \(name), but has not: is it of this model?")
            }
            var together = [[Int]](repeating: [Int](repeating: 0, count: experts), count: experts)
            for a in 0..<experts {
                for b in 0..<experts where b != a {
                    together[a][b] = own.reduce(0) { $0 + $1.counts[a][b] + $1.counts[b][a] }
                }
            }
            let load = (0..<experts).map { expert in loads.reduce(0) { $0 + $1.first[expert] + $1.second[expert] } }
            return Block(
                name, together: together, load: load, widths: mixture.expertWidths,
                ExpertPlacement(strata: strata, places: layout.expertParallel, widths: mixture.expertWidths))
        }
    }

    public var file: PlacementFile {
        PlacementFile(
            expertParallel: expertParallel,
            blocks: Dictionary(
                uniqueKeysWithValues: blocks.map { block in
                    (
                        block.name,
                        (0..<expertParallel).map { place in block.places.indices.filter { block.places[$0] == place } }
                    )
                }))
    }
}

extension PlacementProposal.Block {
    /// `together[a][b]` tokens have both a and b, others, at one gate; `load` are the choices of each expert. Of experts of
    /// `widths` those of one width may change places.
    init(_ name: String, together: [[Int]], load: [Int], widths: [Int]? = nil, _ usual: ExpertPlacement) {
        var places = usual.placeOfExpert
        let stratum = usual.strata.enumerated().flatMap { Array(repeating: $0.offset, count: $0.element) }
        // A wide expert's choices are more work.
        let work = load.indices.map { Double(load[$0]) * Double(widths?[$0] ?? 1) }
        func sums<Number: Numeric>(of numbers: [Number]) -> [Number] {
            var sums = [Number](repeating: 0, count: usual.places)
            for (expert, place) in places.enumerated() { sums[place] += numbers[expert] }
            return sums
        }
        func pairs() -> Int {
            places.indices.reduce(0) { sum, a in
                sum + places.indices[(a + 1)...].reduce(0) { $0 + (places[a] == places[$1] ? together[a][$1] : 0) }
            }
        }
        let most = sums(of: work).max() ?? 0, mean = work.reduce(0, +) / Double(usual.places), before = pairs()
        func relative(_ work: Double) -> Double { mean > 0 ? work / mean : 1 }
        while true {
            // What each expert has in common with those of each place. No expert is its own companion.
            let common = places.indices.map { sums(of: together[$0]) }, loads = sums(of: work)
            var best = (gain: 0, a: 0, b: 0)
            for a in places.indices {
                for b in places.indices[(a + 1)...]
                where stratum[a] == stratum[b] && places[a] != places[b] && widths?[a] == widths?[b] {
                    let (p, q) = (places[a], places[b])
                    let gain = common[a][q] + common[b][p] - common[a][p] - common[b][q] - 2 * together[a][b]
                    let moved = work[b] - work[a]
                    guard gain > best.gain, loads[p] + moved <= most, loads[q] - moved <= most else { continue }
                    best = (gain, a, b)
                }
            }
            guard best.gain > 0 else { break }
            places.swapAt(best.a, best.b)
        }
        self.init(
            name: name, choices: load.reduce(0, +), usual: before, proposed: pairs(), usualLoad: relative(most),
            proposedLoad: relative(sums(of: work).max() ?? 0), places: places)
    }
}
