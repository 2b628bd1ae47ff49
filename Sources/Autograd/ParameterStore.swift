import TensorCore

/// All parameters that a rank holds, in a flat buffer for each placement: the replicated ones, which are the same on every rank,
/// and the experts'. Gradient sums, optimizer and checkpoints work on the buffers.
public final class ParameterStore {
    /// One placement's parameters: values [1, n], those that are trained first, then matrices that are derived, then frozen
    /// parameters, each part in the order they were added, and gradients of the former two.
    public struct Section {
        public let values: Tensor
        /// Elements of the parameters that are trained, which are first.
        public let trained: Int
        /// Gradients of each source of rows, and of each the store's lanes: of experts there are as many sources as ranks whose rows
        /// they see, so that what comes from different token groups is added up later, in an order of its own; of dense parameters
        /// one. None in a store for inference.
        public let leaves: [Tensor]
        /// The first of the leaves, and the sum when they are added up; empty in a store for inference.
        public let gradients: Tensor
    }

    /// A slice's place in its section's buffers.
    public struct Location {
        public let slice: ParameterSlice
        public let placement: ParameterPlacement
        /// Elements of the section.
        public let range: Range<Int>
    }

    public private(set) var parameters: [Parameter] = []
    /// Matrices that are computed of them.
    public private(set) var derived: [any DerivedWeight] = []
    private var sections: ByPlacement<Section>?
    private var lanes = GradientLanes(1)
    /// Where copies of experts that are added live.
    private var copies = ParameterPlacement.expert
    private let precision: GEMM.Precision
    private var pool: WorkerPool?

    /// `precision` is that of products with the parameters that are used as factors.
    public init(precision: GEMM.Precision = .float32) {
        self.precision = precision
    }

    /// Adds a parameter; `materialize` has not been called yet.
    public func add(_ parameter: Parameter) -> Parameter {
        precondition(sections == nil, "parameters are added before their store is materialized")
        if parameter.use != .elements { parameter.precision = precision }
        place(parameter)
        parameters.append(parameter)
        return parameter
    }

    /// Adds a matrix that is computed of parameters; `materialize` has not been called yet.
    public func derive(_ weight: any DerivedWeight) {
        precondition(sections == nil, "matrices are added before their store is materialized")
        weight.matrix.precision = precision
        place(weight.matrix)
        weight.matrix.isDerived = true
        derived.append(weight)
    }

    private func place(_ parameter: Parameter) {
        if parameter.placement == .expert { parameter.placement = copies }
    }

    /// What `build` makes of an expert whose copies live so.
    public func addingExpert<Result>(_ copies: ParameterPlacement, _ build: () -> Result) -> Result {
        self.copies = copies
        defer { self.copies = .expert }
        return build()
    }

    /// What `build` makes, with the parameters and derived matrices that it added on the way.
    public func collect<Result>(_ build: () -> Result) -> (Result, [Parameter]) {
        let (first, firstDerived) = (parameters.count, derived.count)
        let result = build()
        return (result, Array(parameters[first...]) + derived[firstDerived...].map(\.matrix))
    }

    /// Computes the derived matrices: to be called whenever parameters have been changed or loaded.
    public func refresh() {
        guard !derived.isEmpty, let pool else { return }
        pool.parallelFor(derived.count) { derived[$0].compute() }
    }

    /// Everything that has gradients.
    public var summed: [Parameter] { parameters.filter(\.isTrained) + derived.map(\.matrix).filter(\.isTrained) }

    /// Reserves the buffers and draws the initial values. Without a seed there are no values yet and no gradients: the store is for
    /// inference with values that are loaded. `sources` are the ranks whose rows parameters of a placement see, `lanes` the token
    /// groups that a rank runs in turns; `isTrained` says of a slice's name whether training changes it, of all slices of a
    /// parameter alike.
    public func materialize(
        _ context: ComputeContext, seed: UInt64?, sources: (ParameterPlacement) -> Int = { _ in 1 }, lanes: Int = 1,
        isTrained: (String) -> Bool = { _ in true }
    ) {
        precondition(sections == nil, "a store is materialized once")
        self.lanes = GradientLanes(lanes)
        for parameter in parameters {
            let trained = Set(parameter.slices.map { isTrained($0.name) })
            precondition(trained.count == 1, "\(parameter.slices[0].name): a parameter is trained as a whole, or not at all")
            parameter.isTrained = trained == [true]
        }
        for weight in derived { weight.matrix.isTrained = weight.shared.isTrained || weight.own.contains(where: \.isTrained) }
        pool = context.pool
        let names = parameters.flatMap { $0.slices.map(\.name) }
        precondition(Set(names).count == names.count, "every slice has a name of its own")
        sections = ByPlacement { placement in
            materialize(context, placement, seed, leaves: seed == nil ? 0 : sources(placement) * lanes)
        }
        if seed != nil { refresh() }
    }

    /// Packs the factors of products, and lets go what memory is not needed any more: from now on values are only used.
    public func packForInference(_ context: ComputeContext, precision: PackedWeights.Precision = .float32) {
        precondition(sections != nil, "a store is packed once, when it is materialized")
        refresh()
        for parameter in parameters + derived.map(\.matrix) { parameter.packForInference(context, precision) }
        sections = nil
    }

    /// Token groups that a rank runs in turns, each with gradients of its own.
    public var laneCount: Int { lanes.count }

    /// The one at work: operations add to its gradients.
    public var lane: Int {
        get { lanes.current }
        set { lanes.current = newValue }
    }

    public func section(_ placement: ParameterPlacement) -> Section {
        guard let sections else { preconditionFailure("the store is not materialized") }
        return sections[placement]
    }

    /// Every slice and where it lies, in buffer order.
    public func locations(_ placement: ParameterPlacement) -> [Location] {
        let members = members(placement)
        return zip(members, Self.offsets(members)).filter { !$0.0.isDerived }.flatMap { parameter, offset in
            parameter.slices.map {
                Location(
                    slice: $0, placement: placement,
                    range: offset + $0.range.lowerBound..<offset + $0.range.upperBound)
            }
        }
    }

    /// Elements of the longest chunk: runs of a section whose sums are computed apart.
    public static let chunkElements = 256

    /// The first elements of a section's chunks, of the parameters that are trained. They follow from the parameters' sizes alone,
    /// each of which begins a chunk: sums by chunk are the same whatever other parameters a rank holds.
    public func chunkStarts(_ placement: ParameterPlacement) -> [Int] {
        let members = members(placement).filter { $0.isTrained && !$0.isDerived }
        return zip(members, Self.offsets(members)).flatMap { parameter, offset in
            stride(from: offset, to: offset + parameter.count, by: Self.chunkElements)
        }
    }

    /// The number of parameters that this rank holds.
    public var count: Int { parameters.reduce(0) { $0 + $1.count } }

    private func materialize(_ context: ComputeContext, _ placement: ParameterPlacement, _ seed: UInt64?, leaves: Int)
        -> Section
    {
        let members = members(placement)
        let offsets = Self.offsets(members)
        let total = offsets.last ?? 0, trained = offsets[members.count { $0.isTrained && !$0.isDerived }]
        let summed = offsets[members.count(where: \.isTrained)]
        let gradients = (0..<leaves).map { _ in context.zeros(1, summed) }
        let section = Section(
            values: seed == nil ? context.uninitialized(1, total) : context.zeros(1, total), trained: trained,
            leaves: gradients, gradients: gradients.first ?? context.zeros(1, 0))
        for (parameter, offset) in zip(members, offsets) {
            func view(_ tensor: Tensor) -> Tensor {
                Tensor(storage: tensor.storage, offset: offset, rows: parameter.rows, columns: parameter.columns)
            }
            parameter.materialize(
                value: view(section.values), gradients: parameter.isTrained ? gradients.map(view) : [], lanes)
            if let seed, !parameter.isDerived { parameter.initialize(seed: seed) }
        }
        return section
    }

    /// The parameters of a section in the order of its buffers.
    private func members(_ placement: ParameterPlacement) -> [Parameter] {
        let members = parameters.filter { $0.placement == placement }
        let matrices = derived.map(\.matrix).filter { $0.placement == placement }
        return members.filter(\.isTrained) + matrices.filter(\.isTrained) + (matrices + members).filter { !$0.isTrained }
    }

    /// Where each parameter begins, on a cache line of its own, and at last where the buffer ends.
    private static func offsets(_ parameters: [Parameter]) -> [Int] {
        parameters.reduce(into: [0]) { $0.append($0[$0.count - 1] + ($1.count + 15) / 16 * 16) }
    }
}
