import Autograd
import Collectives
import MixtureOfExperts
import TensorCore
import TransformerModel

/// What an update changes on a rank.
struct TrainedParts {
    let model: TranslationModel
    let optimizer: Adam
    /// nil where none is kept.
    let average: ParameterAverage?

    /// The same for blocks of other experts, whose global ids are `experts`, by block: parameters, moments, averages and places are
    /// made anew, and what stays is moved over, from rank to rank where an expert's place is another. Experts that are added begin as
    /// `changes` say, by block, with moments of 0. Until it returns both are in memory. A collective operation.
    func remade(_ changes: [PoolChange?], experts: [[Int]], groups: ParallelGroups, seed: UInt64) throws -> TrainedParts {
        let context = model.context, before = model.store
        precondition(before.parameters.allSatisfy(\.isTrained), "what is kept of a section is of all its parameters")
        let model = TranslationModel(
            configuration: model.configuration, vocabulary: model.vocabulary, context: context, expertGroup: groups.experts,
            seed: seed, experts: experts, wire: model.wire, lanes: before.laneCount)
        let optimizer = Adam(store: model.store, like: optimizer, shardedOver: groups)
        let move = ExpertMove(from: self.model, to: model, changes, groups.experts)
        for (block, change) in zip(model.blocks, changes) {
            for addition in change?.added ?? [] where addition.model == nil {
                if block.placement.placeOfExpert[addition.expert] == groups.place { block.silence(addition.expert) }
            }
        }
        model.store.section(.replicated).values.copy(from: before.section(.replicated).values)
        try move.values(before.section(.expert).values, to: model.store.section(.expert).values)
        // It begins at the parameters as they are now, and those of experts that are added stay so.
        let average = average.map { ParameterAverage(of: model.store, optimizer: optimizer, decay: $0.decay, context: context) }
        let parts = TrainedParts(model: model, optimizer: optimizer, average: average)
        for placement in ParameterPlacement.allCases {
            for (old, new) in zip(kept(placement), parts.kept(placement)) {
                switch placement {
                case .replicated: new.copy(from: old)
                // Where experts come and go, a group has one copy of each.
                case .copiedExpert: break
                case .expert:
                    // Shares are cut elsewhere, where experts are others.
                    let share = optimizer.share(.expert), whole = context.zeros(1, model.store.section(.expert).values.count)
                    whole.elements(share).copy(from: new)
                    try move.state(try gathered(old, groups), to: whole)
                    new.copy(from: whole.elements(share))
                }
            }
        }
        return parts
    }

    /// What is kept of a section beside its values, of the optimizer's share: moments, and an average.
    private func kept(_ placement: ParameterPlacement) -> [Tensor] {
        let moments = optimizer.moments(placement)
        return [moments.first, moments.second] + (average.map { [$0.values(placement)] } ?? [])
    }

    /// Of the whole section of experts, from what every replica has of it.
    private func gathered(_ part: Tensor, _ groups: ParallelGroups) throws -> Tensor {
        let holders = groups.holders(.expert)
        guard optimizer.isSharded, holders.size > 1 else { return part }
        let whole = model.context.uninitialized(1, model.store.section(.expert).values.count)
        whole.elements(optimizer.share(.expert)).copy(from: part)
        let shares = ParameterShares(of: model.store, .expert, over: holders.size)
        try holders.allGather(whole.buffer, counts: shares.ranges.map(\.count))
        return whole
    }
}

/// The way of experts' numbers from where they lie in a model to where they are in another: one exchange of runs of elements
/// between the ranks of the expert-parallel group.
private struct ExpertMove {
    private typealias Runs = (sent: [RowRun], received: [RowRun])

    private let group: any Communicator
    private var staying: Runs = ([], [])
    private var copied: Runs = ([], [])

    init(
        from old: TranslationModel, to new: TranslationModel, _ changes: [PoolChange?], _ group: any Communicator
    ) {
        self.group = group
        let (sources, targets) = (Self.locations(old.store), Self.locations(new.store))
        for ((before, after), change) in zip(zip(old.blocks, new.blocks), changes) {
            let added = Dictionary(uniqueKeysWithValues: (change?.added ?? []).map { ($0.expert, $0.model) })
            // In one order on all ranks: so the runs of each two match.
            for expert in after.placement.existing {
                let isAdded = added[expert] != nil
                guard let source = isAdded ? added[expert]! : expert else { continue }
                let from = before.placement.placeOfExpert[source], to = after.placement.placeOfExpert[expert]
                func runs(_ peer: Int, _ ranges: [Range<Int>]?) -> [RowRun] {
                    (ranges ?? []).map { RowRun(peer: peer, row: $0.lowerBound, count: $0.count) }
                }
                let sent = from == group.rank ? runs(to, sources[before.expertName(source)]) : []
                let received = to == group.rank ? runs(from, targets[after.expertName(expert)]) : []
                if isAdded {
                    copied.sent += sent
                    copied.received += received
                } else {
                    staying.sent += sent
                    staying.received += received
                }
            }
        }
    }

    /// Where each expert's slices lie in the section of experts, by what their names begin with.
    private static func locations(_ store: ParameterStore) -> [String: [Range<Int>]] {
        var locations: [String: [Range<Int>]] = [:]
        for location in store.locations(.expert) {
            let parts = location.slice.name.split(separator: ".", omittingEmptySubsequences: false)
            guard let place = parts.firstIndex(of: "experts") else { continue }
            locations[parts[...(place + 1)].joined(separator: ".") + ".", default: []].append(location.range)
        }
        return locations
    }

    /// Moves the values of experts that stay, and copies those that others begin with.
    func values(_ source: Tensor, to target: Tensor) throws {
        try move(source, to: target, (staying.sent + copied.sent, staying.received + copied.received))
    }

    /// Moves what is kept of experts that stay.
    func state(_ source: Tensor, to target: Tensor) throws { try move(source, to: target, staying) }

    private func move(_ source: Tensor, to target: Tensor, _ runs: Runs) throws {
        try group.allToAll(
            rowWidth: 1, UnsafeBufferPointer(source.buffer), sentRuns: runs.sent, into: target.buffer,
            receivedRuns: runs.received)
    }
}

extension Tensor {
    /// Elements of a vector, sharing its storage.
    fileprivate func elements(_ range: Range<Int>) -> Tensor {
        Tensor(storage: storage, offset: offset + range.lowerBound, rows: 1, columns: range.count)
    }
}
