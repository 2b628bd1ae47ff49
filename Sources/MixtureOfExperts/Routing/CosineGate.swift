import Autograd
import TensorCore

/// A gate of cosines with a threshold for each expert: logits scale · ⟨h, w⟩ / (‖h‖ ‖w‖), ("Dynamic Mixture of Experts", arXiv
/// 2405.14297). Parameters `<gate>.{weight,threshold,active}`, [V, w], [V] and [V]; an expert whose `active`, which has no gradient,
/// is 0 is no one's choice. Weights are orthonormal at first, thresholds 0.
public struct CosineGate: AdaptiveGate {
    public let weight: Parameter
    private let threshold: Parameter
    private let active: Parameter
    private let scale: Float
    private let diversity: Float
    private let simplicity: Float

    /// `diversity` and `simplicity` are the weights of the losses of those names.
    public init(_ site: GateSite, scale: Float, diversity: Float, simplicity: Float, store: ParameterStore) {
        (self.scale, self.diversity, self.simplicity) = (scale, diversity, simplicity)
        let count = site.visible.count
        weight = store.add(
            Parameter(
                weights: ["\(site.name).weight"], outputsEach: count, inputs: site.dim, initializer: .orthonormalRows))
        threshold = store.add(
            Parameter(vectors: ["\(site.name).threshold"], countEach: count, initializer: .constant(0)))
        let existing = site.configuration.pool == nil ? nil : Set(site.configuration.initialExperts)
        active = store.add(
            Parameter(
                vectors: ["\(site.name).active"], countEach: count,
                initializer: existing.map { existing in .values(site.visible.map { existing.contains($0) ? 1 : 0 }) }
                    ?? .constant(1)))
    }

    public var open: [Bool] { (0..<weight.rows).map(isActive) }

    public func close(_ expert: Int) { active.value[0, expert] = 0 }

    public func open(_ expert: Int, weight row: [Float]) {
        precondition(row.count == weight.columns, "a gate's row is as wide as the rows that it scores")
        for (column, value) in row.enumerated() { weight.value[expert, column] = value }
        threshold.value[0, expert] = 0
        active.value[0, expert] = 1
    }

    public func elements(of expert: Int) -> [Range<Int>] {
        [weight, threshold, active].map { parameter in
            let width = parameter.count / weight.rows, start = parameter.elements.lowerBound + expert * width
            return start..<start + width
        }
    }

    public var work: Int { weight.rows * weight.columns }
    public var thresholds: [Float]? { threshold.value.elements }
    private func isActive(_ expert: Int) -> Bool { active.value[0, expert] != 0 }

    public func logits(_ rows: Tensor, _ context: ComputeContext) -> Tensor {
        let logits = context.uninitialized(rows.rows, weight.rows), ofWeights = context.inverseNorms(weight.value)
        MatrixProduct.forward(context, x: rows, w: weight.value, into: logits)
        let factors = ofWeights.indices.map { isActive($0) ? scale * ofWeights[$0] : -.infinity }
        for (token, norm) in context.inverseNorms(rows).enumerated() {
            let row = logits.row(token)
            for expert in factors.indices {
                row[expert] = factors[expert] == -.infinity ? -.infinity : factors[expert] * norm * row[expert]
            }
        }
        return logits
    }

    /// With ds = scale · dlogits, s the cosines, u and ŵ of length 1: dw = Σ ds (u − s ŵ) / ‖w‖ and dh = Σ ds (ŵ − s u) / ‖h‖.
    public func backward(
        _ dlogits: Tensor, dthresholds: [Float], rows: Tensor, logits: Tensor, addingTo drows: Tensor, _ context: ComputeContext
    ) {
        let count = weight.rows, dproducts = context.zeros(rows.rows, count), ofWeights = context.inverseNorms(weight.value)
        let experts = (0..<count).filter(isActive)
        var alongWeights = [Float](repeating: 0, count: count)
        for (token, norm) in context.inverseNorms(rows).enumerated() {
            let dlogit = dlogits.row(token), logit = logits.row(token), dproduct = dproducts.row(token)
            var alongRow: Float = 0
            for expert in experts {
                let along = dlogit[expert] * logit[expert]
                dproduct[expert] = scale * dlogit[expert] * norm * ofWeights[expert]
                alongRow += along
                alongWeights[expert] += along
            }
            Self.subtract(alongRow * norm * norm, times: rows.row(token), from: drows.row(token), rows.columns)
        }
        let dweight = weight.gradientOrScratch(context), dthreshold = threshold.gradientOrScratch(context)
        MatrixProduct.backwardWeight(context, dy: dproducts, x: rows, into: dweight)
        MatrixProduct.backwardInput(context, dy: dproducts, w: weight.value, accumulate: true, into: drows)
        for expert in experts {
            let factor = alongWeights[expert] * ofWeights[expert] * ofWeights[expert]
            Self.subtract(factor, times: weight.value.row(expert), from: dweight.row(expert), weight.columns)
            dthreshold[0, expert] += dthresholds[expert]
        }
    }

    private static func subtract(
        _ factor: Float, times x: UnsafeMutablePointer<Float>, from y: UnsafeMutablePointer<Float>, _ count: Int
    ) {
        for index in 0..<count { y[index] -= factor * x[index] }
    }

    // MARK: losses of the weights

    /// Diversity, ‖Ŵ Ŵᵀ − I‖ of the active experts, and simplicity, the mean of their ‖w‖.
    public var losses: [BlockFigure] {
        let directions = Directions(weight.value, (0..<weight.rows).filter(isActive))
        return [BlockFigure("diversity", Float(directions.overlap)), BlockFigure("simplicity", Float(directions.meanLength))]
    }

    public func addLossGradient(scale: Float) {
        guard weight.isTrained, diversity > 0 || simplicity > 0 else { return }
        let directions = Directions(weight.value, (0..<weight.rows).filter(isActive))
        let overlapScale = Double(scale * diversity)
        let lengthScale = Double(scale * simplicity) / Double(max(directions.experts.count, 1))
        for (place, expert) in directions.experts.enumerated() {
            let unit = directions.units[place], ofOverlap = directions.overlapGradient(place), dw = weight.gradient.row(expert)
            for column in unit.indices { dw[column] += Float(overlapScale * ofOverlap[column] + lengthScale * unit[column]) }
        }
    }
}

/// Rows w of a gate as lengths ‖w‖ and directions ŵ.
private struct Directions {
    let experts: [Int]
    private let lengths: [Double]
    let units: [[Double]]
    /// ŵ_i ŵ_j where i ≠ j, else 0.
    private let products: [[Double]]
    /// The Frobenius norm of the products.
    let overlap: Double

    init(_ weight: Tensor, _ experts: [Int]) {
        self.experts = experts
        let rows = experts.map { expert in (0..<weight.columns).map { Double(weight[expert, $0]) } }
        let lengths = rows.map { max(Self.product($0, $0).squareRoot(), 1e-12) }
        let units = zip(rows, lengths).map { row, length in row.map { $0 / length } }
        var products = experts.map { _ in [Double](repeating: 0, count: experts.count) }
        for i in experts.indices {
            for j in 0..<i {
                products[i][j] = Self.product(units[i], units[j])
                products[j][i] = products[i][j]
            }
        }
        (self.lengths, self.units, self.products) = (lengths, units, products)
        overlap = products.reduce(0) { $0 + Self.product($1, $1) }.squareRoot()
    }

    var meanLength: Double { lengths.reduce(0, +) / Double(max(lengths.count, 1)) }

    /// The gradient of the overlap with respect to a row w: 2 Σ_j ⟨ŵ, ŵ_j⟩ ŵ_j / overlap for the direction, of which w gets the part
    /// across it over ‖w‖. Orthogonal rows, where the norm has none, get 0.
    func overlapGradient(_ place: Int) -> [Double] {
        var gradient = [Double](repeating: 0, count: units[place].count)
        guard overlap >= 1e-6 else { return gradient }
        for (other, unit) in units.enumerated() where other != place {
            let factor = 2 * products[place][other] / overlap
            for column in gradient.indices { gradient[column] += factor * unit[column] }
        }
        let along = Self.product(gradient, units[place])
        for column in gradient.indices { gradient[column] = (gradient[column] - along * units[place][column]) / lengths[place] }
        return gradient
    }

    private static func product(_ x: [Double], _ y: [Double]) -> Double {
        var sum = 0.0
        for index in x.indices { sum += x[index] * y[index] }
        return sum
    }
}

extension ComputeContext {
    /// 1 / ‖x‖ of each row.
    fileprivate func inverseNorms(_ x: Tensor) -> [Float] {
        let rows = (0..<x.rows).map { $0 * x.columns..<($0 + 1) * x.columns }
        return Elementwise.sumsOfSquares(self, x.buffer, chunks: rows).map { Float(1 / max($0.squareRoot(), 1e-12)) }
    }
}
