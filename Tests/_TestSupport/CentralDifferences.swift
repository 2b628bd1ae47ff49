/// Checks a gradient by central differences of an objective that is smooth as long as the routing stays what it is.
public struct CentralDifferences {
    /// The objective, and everything discrete that was decided on the way to it.
    public typealias Objective<Decisions: Equatable> = () throws -> (value: Double, decisions: Decisions)

    public var step: Float
    /// Relative to the largest derivative of the tensor, or to 0.05 if that is larger.
    public var tolerance: Double

    public init(step: Float = 4e-3, tolerance: Double = 4e-3) {
        self.step = step
        self.tolerance = tolerance
    }

    /// Where a step changes a decision, a smaller one is taken; elements where that changes one too say nothing and are left out:
    /// they must be few. What does not agree is tried with a smaller and with a larger step: the one bends less within it, the
    /// other is less lost in rounding, and a gradient that is wrong agrees with neither.
    ///
    /// - Throws: `Disagreement` where gradient and differences do not agree.
    public func check<Decisions: Equatable>(
        _ gradient: [Float], at values: UnsafeMutableBufferPointer<Float>, _ what: String, objective: Objective<Decisions>
    ) throws {
        guard gradient.count == values.count else {
            throw Disagreement("\(what): a gradient of \(gradient.count) elements for \(values.count)")
        }
        let decisions = try objective().decisions
        func derivative(_ index: Int, step: Float) throws -> Double? {
            let value = values[index]
            defer { values[index] = value }
            values[index] = value + step
            let (above, upper) = (try objective(), values[index])
            values[index] = value - step
            let (below, lower) = (try objective(), values[index])
            guard above.decisions == decisions, below.decisions == decisions else { return nil }
            return (above.value - below.value) / (Double(upper) - Double(lower))
        }
        let derivatives = try values.indices.map { try derivative($0, step: step) ?? derivative($0, step: step / 4) }
        guard derivatives.count(where: { $0 == nil }) <= max(1, values.count / 10) else {
            throw Disagreement("\(what): too near to ties")
        }
        let scale = derivatives.reduce(0.05) { max($0, abs($1 ?? 0)) }
        func agrees(_ index: Int, _ derivative: Double?) -> Bool {
            derivative.map { abs($0 - Double(gradient[index])) < tolerance * scale } ?? false
        }
        for (index, first) in derivatives.enumerated() {
            guard let first, !agrees(index, first) else { continue }
            let (finer, coarser) = (try derivative(index, step: step / 4), try derivative(index, step: step * 4))
            if agrees(index, finer) || agrees(index, coarser) { continue }
            throw Disagreement("\(what)[\(index)] is \(gradient[index]), \(first) by differences (largest \(scale))")
        }
    }
}
