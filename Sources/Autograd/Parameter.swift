import TensorCore

/// Where copies of a parameter live.
public enum ParameterPlacement: CaseIterable, Sendable {
    /// One copy on every rank; its gradient is summed over all of them. So are dense layers, and experts that are replicated.
    case replicated
    /// One copy in every expert-parallel group, on the rank that owns the expert; its gradient is summed over those copies.
    case expert
    /// The same of an expert of which a group has several copies, one in each part of it: its stratum has fewer experts than the group
    /// has ranks.
    case copiedExpert
}

/// How layers use a parameter's values.
public enum ParameterUse: Sendable {
    /// Only as w of products x · wᵀ, by `Parameter.multiply` and the tape's operations.
    case factor
    /// So, and element by element too.
    case factorAndElements
    /// In any other way.
    case elements
}

/// How a parameter's values are drawn before training.
public enum ParameterInitializer: Sendable {
    case constant(Float)
    /// One for each element.
    case values([Float])
    case normal(deviation: Float)
    case uniform(bound: Float)
    /// A matrix with rows of length 1 that are orthogonal to one another; of more rows than columns, each so many of them.
    case orthonormalRows
    /// As a matrix of so many rows: columns of length 1 that are orthogonal to one another or, where it is wider than high, rows.
    case isometry(rows: Int)

    /// Glorot and Bengio's uniform distribution for a weight [out, in], times `gain`.
    public static func xavier(inputs: Int, outputs: Int, gain: Float = 1) -> ParameterInitializer {
        .uniform(bound: gain * (6 / Float(inputs + outputs)).squareRoot())
    }
}

/// A named part of a parameter: what checkpoints and the oracle call a tensor. Projections that are computed together
/// (queries, keys and values) are one parameter with a slice for each.
public struct ParameterSlice: Sendable {
    public let name: String
    public let shape: [Int]
    /// Elements of the parameter.
    public let range: Range<Int>
    public let initializer: ParameterInitializer

    /// Draws some of the slice's elements, counted from its first, under a key made from its name.
    public func draw(_ elements: Range<Int>, seed: UInt64, into values: UnsafeMutablePointer<Float>) {
        let key = RandomKey(seed: seed).derived(name)
        switch initializer {
        case let .constant(constant):
            values.update(repeating: constant, count: elements.count)
        case let .values(all):
            for (place, element) in elements.enumerated() { values[place] = all[element] }
        case let .normal(deviation):
            for (place, element) in elements.enumerated() { values[place] = key.normal(element) * deviation }
        case .orthonormalRows:
            // A row depends on those before it.
            var all = [Float](repeating: 0, count: range.count)
            all.withUnsafeMutableBufferPointer { fillOrthonormalRows($0.baseAddress!, key: key) }
            for (place, element) in elements.enumerated() { values[place] = all[element] }
        case let .isometry(rows):
            let all = isometry(rows: rows, key: key)
            for (place, element) in elements.enumerated() { values[place] = all[element] }
        case let .uniform(bound):
            for (place, element) in elements.enumerated() { values[place] = (2 * key.uniform(element) - 1) * bound }
        }
    }
}

/// A trained matrix [rows, columns] (a vector is one row) and its gradients. All are views into the flat buffers of a
/// `ParameterStore`, and exist from `ParameterStore.materialize` on; `ParameterStore.packForInference` leaves packed weights alone.
public final class Parameter {
    public let rows: Int
    public let columns: Int
    public internal(set) var placement: ParameterPlacement
    public let slices: [ParameterSlice]
    /// How layers use it.
    public let use: ParameterUse
    /// What its products, and those of its gradient, are computed in where it is not packed; its store says so of factors.
    public internal(set) var precision = GEMM.Precision.float32
    /// Whether training changes it. One that is frozen has no gradient, and operations compute none.
    public internal(set) var isTrained = true
    /// Whether it is a matrix that is computed of others (`DerivedWeight`).
    public internal(set) var isDerived = false
    private var storage: (value: Tensor, gradients: [Tensor], lanes: GradientLanes)?
    /// Where the store is packed for inference and the parameter is a factor of products: what they are computed with.
    public private(set) var packed: PackedWeights?

    /// A weight [outputs, inputs] made of one slice for each name, stacked along the outputs.
    public convenience init(
        weights names: [String], outputsEach outputs: Int, inputs: Int, placement: ParameterPlacement = .replicated,
        use: ParameterUse = .elements, initializer: ParameterInitializer
    ) {
        let slices = names.enumerated().map { index, name in
            ParameterSlice(
                name: name, shape: [outputs, inputs], range: index * outputs * inputs..<(index + 1) * outputs * inputs,
                initializer: initializer)
        }
        self.init(rows: names.count * outputs, columns: inputs, placement: placement, use: use, slices: slices)
    }

    /// A vector made of one slice of `countEach` elements for each name.
    public convenience init(
        vectors names: [String], countEach count: Int, placement: ParameterPlacement = .replicated,
        initializer: ParameterInitializer
    ) {
        let slices = names.enumerated().map { index, name in
            ParameterSlice(
                name: name, shape: [count], range: index * count..<(index + 1) * count, initializer: initializer)
        }
        self.init(rows: 1, columns: names.count * count, placement: placement, use: .elements, slices: slices)
    }

    /// A tensor of any shape, kept as one row.
    public convenience init(
        tensor name: String, shape: [Int], placement: ParameterPlacement = .replicated, initializer: ParameterInitializer
    ) {
        let count = shape.reduce(1, *)
        let slice = ParameterSlice(name: name, shape: shape, range: 0..<count, initializer: initializer)
        self.init(rows: 1, columns: count, placement: placement, use: .elements, slices: [slice])
    }

    private init(
        rows: Int, columns: Int, placement: ParameterPlacement, use: ParameterUse, slices: [ParameterSlice]
    ) {
        self.use = use
        self.rows = rows
        self.columns = columns
        self.placement = placement
        self.slices = slices
    }

    public var count: Int { rows * columns }
    public var value: Tensor { materialized.value }
    public var gradient: Tensor { gradient(source: 0) }
    /// The gradient of what comes from one source, of an expert's parameter, in the lane that is at work; dense parameters have one
    /// source, 0, and so have replicated experts, whose rows are all this rank's.
    public func gradient(source: Int) -> Tensor {
        let (_, gradients, lanes) = materialized, sources = gradients.count / lanes.count
        precondition(
            sources > 0 && (source < sources || placement != .expert),
            "\(slices[0].name) has gradients of \(sources) sources, but source \(source) is asked for")
        // A copy sees the ranks of its part of the group alone, which are neighbours, as many as there are sources.
        return gradients[source % sources * lanes.count + lanes.current]
    }
    /// Where an operation that cannot leave a small gradient out adds it: the gradient or, of a frozen parameter, memory that is
    /// forgotten.
    public func gradientOrScratch(_ context: ComputeContext) -> Tensor { isTrained ? gradient : context.zeros(rows, columns) }
    /// The elements of its placement's section.
    public var elements: Range<Int> { value.offset..<value.offset + count }

    private var materialized: (value: Tensor, gradients: [Tensor], lanes: GradientLanes) {
        guard let storage else {
            preconditionFailure("\(slices[0].name) must be materialized, and not packed, where its values are used")
        }
        return storage
    }

    /// `gradients` by source, then by lane.
    func materialize(value: Tensor, gradients: [Tensor], _ lanes: GradientLanes) {
        storage = (value, gradients, lanes)
    }

    /// Packs the values if `use` says that products need them so: in 32 bits in their place, in 8 elsewhere, and the store's memory
    /// is let go.
    func packForInference(_ context: ComputeContext, _ precision: PackedWeights.Precision) {
        let (value, _, lanes) = materialized
        if use != .elements {
            packed = PackedWeights(context, value, precision: precision, overwriting: use == .factor)
        }
        switch (use, precision) {
        case (.factor, _): storage = nil
        case (_, .float32): storage = (value, [], lanes)
        case (_, .int8): storage = (context.copy(value), [], lanes)
        }
    }

    /// Draws every slice's values under a key made from its name, so that they do not depend on which rank draws them.
    func initialize(seed: UInt64) {
        for slice in slices {
            slice.draw(0..<slice.range.count, seed: seed, into: value.pointer + slice.range.lowerBound)
        }
    }
}

extension ParameterSlice {
    /// Normal draws whose rows or columns, whichever are fewer, are made orthonormal.
    fileprivate func isometry(rows: Int, key: RandomKey) -> [Float] {
        let columns = range.count / rows, isWide = rows <= columns
        var vectors = [Float](repeating: 0, count: range.count)
        let flat = ParameterSlice(
            name: name, shape: isWide ? [rows, columns] : [columns, rows], range: range, initializer: .orthonormalRows)
        vectors.withUnsafeMutableBufferPointer { flat.fillOrthonormalRows($0.baseAddress!, key: key) }
        return isWide ? vectors : (0..<range.count).map { vectors[$0 % columns * rows + $0 / columns] }
    }

    /// Rows of normal draws, each made orthogonal to those before it (Gram–Schmidt, twice for rounding) and of length 1.
    fileprivate func fillOrthonormalRows(_ values: UnsafeMutablePointer<Float>, key: RandomKey) {
        let columns = shape[shape.count - 1], rows = range.count / columns
        var before: [[Double]] = []
        for row in 0..<rows {
            if before.count == columns { before = [] }
            var draw = (0..<columns).map { Double(key.normal(row * columns + $0)) }
            for _ in 0..<2 {
                for other in before {
                    let along = zip(draw, other).reduce(0) { $0 + $1.0 * $1.1 }
                    for column in draw.indices { draw[column] -= along * other[column] }
                }
            }
            let length = draw.reduce(0) { $0 + $1 * $1 }.squareRoot()
            for column in draw.indices {
                draw[column] /= length
                values[row * columns + column] = Float(draw[column])
            }
            before.append(draw)
        }
    }
}
