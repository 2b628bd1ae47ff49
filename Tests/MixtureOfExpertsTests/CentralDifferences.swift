import Testing

/// Checks a gradient by central differences of an objective that is smooth as long as the routing stays what it is.
struct CentralDifferences {
    /// The objective, and everything discrete that was decided on the way to it.
    typealias Objective<Decisions: Equatable> = () throws -> (value: Double, decisions: Decisions)

    var step: Float = 4e-3
    /// Relative to the largest derivative of the tensor, or to 0.05 if that is larger.
    var tolerance = 4e-3

    /// Throws nothing: what does not agree is recorded. Elements whose step changes a decision say nothing and are left out; they
    /// must be few.
    func check<Decisions: Equatable>(
        _ gradient: [Float], at values: UnsafeMutableBufferPointer<Float>, _ what: String, objective: Objective<Decisions>
    ) throws {
        try #require(gradient.count == values.count, "\(what)")
        let decisions = try objective().decisions
        var derivatives: [(index: Int, value: Double)] = []
        for index in values.indices {
            let value = values[index]
            values[index] = value + step
            let (above, upper) = (try objective(), values[index])
            values[index] = value - step
            let (below, lower) = (try objective(), values[index])
            values[index] = value
            guard above.decisions == decisions, below.decisions == decisions else { continue }
            derivatives.append((index, (above.value - below.value) / (Double(upper) - Double(lower))))
        }
        #expect(derivatives.count * 10 >= values.count * 9, "\(what): too near to ties")
        let scale = derivatives.reduce(0.05) { max($0, abs($1.value)) }
        let worst = derivatives.max { abs($0.value - Double(gradient[$0.index])) < abs($1.value - Double(gradient[$1.index])) }
        guard let worst else { return }
        let deviation = abs(worst.value - Double(gradient[worst.index])) / scale
        #expect(deviation < tolerance, "\(what)[\(worst.index)] is \(gradient[worst.index]), \(worst.value) by differences")
    }
}
