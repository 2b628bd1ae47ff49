import Autograd
import MixtureOfExperts
import Runs
import TensorCore
import Training

/// What one rank of a run holds and sends: bytes, for the rank with most experts; where these come and go, if as many exist as may.
public struct RankPlan {
    public let layout: ParallelLayout
    /// Where experts live: of each kind of the plan's blocks.
    let placements: [ExpertPlacement]
    public let memory: Memory
    /// Token groups that a rank runs in turns.
    public let groupsInTurns: Int
    /// Rows of tokens that a rank sends to others, of an update, forward and backward; the mean over ranks.
    public let allToAllBytesPerUpdate: Int
    /// Gradients that a rank sends to others in an update, in pieces to be summed and as sums; with a sharded optimizer, the
    /// pieces of gradients and the updated values, which are as many.
    public var gradientBytesPerUpdate: Int { ParameterPlacement.allCases.reduce(0) { $0 + gradientBytes[$1] } }
    /// The same by placement.
    let gradientBytes: ByPlacement<Int>
    /// Parameters whose gradients a rank sums, with the matrices that are computed of them.
    let summedParameters: ByPlacement<Int>
    /// Parameters that a rank's optimizer updates.
    let updatedParameters: Int

    public struct Memory: Encodable {
        /// With matrices that are computed of them.
        public let parameters: Int
        /// Of the token groups that run, and the sums of earlier ones.
        public let gradients: Int
        /// Adam's two moments, and the moving average where one is kept.
        public let optimizerState: Int
        /// What forward keeps of the token groups that run, and the largest that is computed with one.
        public let activations: Int
        /// The copy of its part of a checkpoint, if that is written while training goes on.
        public let snapshot: Int
        /// Parameters, gradients and moments a second time, while they are made anew for other experts: between updates, when there
        /// are no activations. nil where experts neither come nor go.
        public let remaking: Int?

        public var total: Int { parameters + gradients + optimizerState + max(activations, remaking ?? 0) + snapshot }

        enum CodingKeys: String, CodingKey {
            case parameters, gradients, activations, snapshot, remaking
            case optimizerState = "optimizer_state"
        }
    }

    /// `movesWhileComputing`: whether messages do, so that ranks may run token groups in turns.
    ///
    /// - Throws: `PlacementError` if the experts cannot be spread over so many ranks.
    public init(
        _ plan: ModelPlan, _ configuration: RunConfiguration, ranks: Int, movesWhileComputing: Bool = false
    ) throws {
        let mixture = plan.configuration.mixture, training = configuration.training
        let layout = try ParallelLayout(
            ranks: ranks, expertParallel: configuration.parallel.expertParallel, mixture: mixture)
        self.layout = layout
        let places = layout.expertParallel
        let placements = plan.kinds.map {
            ExpertPlacement(
                strata: $0.mixture.strata, places: places, partSize: layout.partSize, widths: $0.mixture.expertWidths)
        }
        self.placements = placements
        let float = MemoryLayout<Float>.stride
        /// Of all blocks, of the place that has most, each expert's number as often as `times` says.
        func most(_ ofExpert: (BlockPlan) -> [Int], times: (_ isCopied: Bool) -> Double = { _ in 1 }) -> Int {
            let sums = (0..<places).map { place in
                zip(plan.kinds, placements).reduce(0.0) { sum, kind in
                    let numbers = ofExpert(kind.0)
                    return kind.1.expertsOfPlace[place].reduce(sum) {
                        $0 + Double(kind.0.count * numbers[$1]) * times(kind.1.copies[$1] == .copiedExpert)
                    }
                }
            }
            return Int(clamped: sums.max() ?? 0)
        }
        let experts = most(\.parametersOfExpert), derived = most(\.derivedOfExpert)
        let (trained, trainedExperts) = (plan.trainedReplicated, most(\.trainedOfExpert))
        func summedOfExpert(_ kind: BlockPlan) -> [Int] { zip(kind.trainedOfExpert, kind.derivedOfExpert).map(+) }
        let held = (plan.replicatedParameters + experts + derived) * float
        let lanes = configuration.parallel.lanes(
            layout, tokenGroups: training.tokenGroups, movesWhileComputing: movesWhileComputing)
        groupsInTurns = lanes
        let copies = ByPlacement { layout.gradientCopies($0, tokenGroups: training.tokenGroups, lanes: lanes) }
        let gradients =
            (trained * copies.replicated
                + most(summedOfExpert) { Double($0 ? copies.copiedExpert : copies.expert) }) * float
        let isSharded = configuration.parallel.shardOptimizer
        let moments =
            isSharded
            ? trained / ranks + most(\.trainedOfExpert) { 1 / Double(layout.holders($0 ? .copiedExpert : .expert)) }
            : trained + trainedExperts
        updatedParameters = moments
        let kept = training.averageDecay > 0 ? 3 : 2
        memory = Memory(
            parameters: held, gradients: gradients, optimizerState: kept * moments * float,
            activations: ActivationPlan(plan, training, isSpread: places > 1, groups: lanes).bytes,
            // Parameters with their moments and averages: dense ones are dealt out, experts are the first replica's.
            snapshot: configuration.checkpoint.asynchronous
                ? (plan.replicatedParameters / ranks + experts + kept * (trained / ranks + trainedExperts)) * float : 0,
            remaking: mixture?.pool == nil ? nil : held + gradients + kept * moments * float)
        let tokens = Double(training.tokenGroups * training.tokensPerGroup) / Double(ranks)
        // To the experts and back, in forward and in backward, of each token but what stays at its own place.
        var perToken = 0.0
        for (kind, placement) in zip(plan.kinds, placements) where places > 1 {
            let traffic = RowTraffic(kind, placement, dim: plan.configuration.dim, wire: configuration.parallel.wire)
            let routing = kind.largestRouting
            for (stratum, rows) in routing.trainedRowsOfGate.enumerated() {
                perToken += Double(kind.count) * RowTraffic.leaving(traffic.bytes(rows, routing, atStratum: stratum))
            }
        }
        allToAllBytesPerUpdate = Int(clamped: tokens * perToken)
        // Of what n ranks add up, each sends the others their pieces of what it has, and the sum of its own: (n − 1) / n of each.
        let parts = ByPlacement { layout.gradientParts($0, tokenGroups: training.tokenGroups) }
        func sent(_ parameters: Int, _ parts: Int, among ranks: Int) -> Int {
            Int(clamped: Double(1 + parts) * Double(float) * Double(parameters) * Double(ranks - 1) / Double(ranks))
        }
        let summed = ByPlacement { placement in
            switch placement {
            case .replicated: trained
            case .expert: most(summedOfExpert) { $0 ? 0 : 1 }
            case .copiedExpert: most(summedOfExpert) { $0 ? 1 : 0 }
            }
        }
        summedParameters = summed
        gradientBytes = ByPlacement { sent(summed[$0], parts[$0], among: layout.holders($0)) }
    }
}
