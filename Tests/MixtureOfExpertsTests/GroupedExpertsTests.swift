import Autograd
import TensorCore
import Testing
import _TestSupport

@testable import MixtureOfExperts

/// Experts applied to sorted rows, against a twin that goes row by row in 64 bits.
@Suite struct GroupedExpertsTests {
    private static let dim = 20, ffnDim = 37

    /// One expert, naively.
    private struct Twin {
        let w1: [Float], b1: [Float], w2: [Float], b2: [Float]
        var dw1: [Double], db1: [Double], dw2: [Double], db2: [Double]

        init(_ store: ParameterStore, _ name: String) throws {
            var values: [String: [Float]] = [:]
            try store.forEachSlice { slice, _, value, _ in values[slice] = Array(value) }
            (w1, b1) = (values["\(name).fc1.weight"]!, values["\(name).fc1.bias"]!)
            (w2, b2) = (values["\(name).fc2.weight"]!, values["\(name).fc2.bias"]!)
            dw1 = w1.map { _ in 0 }
            db1 = b1.map { _ in 0 }
            dw2 = w2.map { _ in 0 }
            db2 = b2.map { _ in 0 }
        }

        /// One row [d] and the gradient of its output [d] → hidden, output, gradient of the row.
        mutating func run(_ x: [Float], dy: [Float]) -> (hidden: [Float], output: [Float], dx: [Float]) {
            let (d, f) = (x.count, b1.count)
            let hidden = (0..<f).map { i in
                max(0, (0..<d).reduce(Double(b1[i])) { $0 + Double(w1[i * d + $1]) * Double(x[$1]) })
            }
            let output = (0..<d).map { o in (0..<f).reduce(Double(b2[o])) { $0 + Double(w2[o * f + $1]) * hidden[$1] } }
            var dhidden = [Double](repeating: 0, count: f)
            for o in 0..<d {
                db2[o] += Double(dy[o])
                for i in 0..<f {
                    dw2[o * f + i] += Double(dy[o]) * hidden[i]
                    if hidden[i] > 0 { dhidden[i] += Double(dy[o]) * Double(w2[o * f + i]) }
                }
            }
            var dx = [Double](repeating: 0, count: d)
            for i in 0..<f {
                db1[i] += dhidden[i]
                for c in 0..<d {
                    dw1[i * d + c] += dhidden[i] * Double(x[c])
                    dx[c] += dhidden[i] * Double(w1[i * d + c])
                }
            }
            return (hidden.map { Float($0) }, output.map { Float($0) }, dx.map { Float($0) })
        }
    }

    @Test(
        arguments: [
            [7], [0], [0, 0, 0], [1, 1, 1], [3, 0, 290, 1, 65], [0, 0, 900], [513, 0, 1], [128, 128],
        ], [1, 2])
    func forwardAndBackward(expertRows: [Int], threads: Int) throws {
        let context = ComputeContext(threads: threads), store = ParameterStore()
        // Experts bear global ids, whatever their order here.
        let ids = expertRows.indices.map { 3 * $0 + 2 }
        let experts = GroupedExperts(
            ids.map { FeedForwardExpert(name: "moe.experts.\($0)", dim: Self.dim, ffnDim: Self.ffnDim, store: store) },
            dim: Self.dim)
        store.materialize(context, seed: 1)
        try store.perturb(seed: 2)
        #expect(store.locations(.replicated).isEmpty)
        let count = expertRows.reduce(0, +)
        let rows = context.tensor(normalValues(count * Self.dim, seed: 3), rows: count, columns: Self.dim)
        let doutputs = context.tensor(normalValues(count * Self.dim, seed: 4), rows: count, columns: Self.dim)
        // Gradients are added to.
        store.section(.expert).gradients.fill(0.5)

        let activations = experts.forward(context, rows: rows, expertRows: expertRows)
        let drows = experts.backward(
            context, doutputs: doutputs, rows: rows, hidden: activations.hidden, expertRows: expertRows)

        var expected = (hidden: [Float](), outputs: [Float](), drows: [Float]()), row = 0
        let gradients = try store.gradients()
        for (id, count) in zip(ids, expertRows) {
            var twin = try Twin(store, "moe.experts.\(id)")
            for index in row..<row + count {
                let result = twin.run(rows.rows(index..<index + 1).elements, dy: doutputs.rows(index..<index + 1).elements)
                expected.hidden += result.hidden
                expected.outputs += result.output
                expected.drows += result.dx
            }
            row += count
            for (part, twinGradient) in [
                ("fc1.weight", twin.dw1), ("fc1.bias", twin.db1), ("fc2.weight", twin.dw2), ("fc2.bias", twin.db2),
            ] {
                try expectClose(
                    gradients["moe.experts.\(id).\(part)"]!, twinGradient.map { Float($0 + 0.5) }, tolerance: 2e-6,
                    "gradient of \(part) of expert \(id)")
            }
        }
        try expectClose(activations.hidden.elements, expected.hidden, tolerance: 2e-6, "hidden")
        try expectClose(activations.outputs.elements, expected.outputs, tolerance: 2e-6, "outputs")
        try expectClose(drows.elements, expected.drows, tolerance: 2e-6, "gradient of the rows")
    }

    /// Everything that an expert makes of its rows, and of the gradient of their outputs.
    private struct Work: Equatable {
        let hidden: [Float]
        let outputs: [Float]
        let drows: [Float]
        let gradients: [String: [Float]]
    }

    private static let widths = [5, 64, 1, 130, 33]

    /// Experts of the given widths, with the values that each has by its name.
    private static func experts(
        _ context: ComputeContext, _ ids: [Int]
    ) throws -> (experts: GroupedExperts, store: ParameterStore) {
        let store = ParameterStore()
        let experts = GroupedExperts(
            ids.map { FeedForwardExpert(name: "experts.\($0)", dim: dim, ffnDim: widths[$0], store: store) }, dim: dim)
        store.materialize(context, seed: 1)
        try store.perturb(seed: 2)
        return (experts, store)
    }

    /// Experts of unequal widths in one group give, to the bit, what each gives alone, on one thread and over all its rows at once.
    @Test(arguments: [[9, 40, 3, 700, 0], [300, 300, 300, 300, 300], [0, 0, 0, 0, 1], [0, 0, 0, 0, 0]], [1, 2, 3])
    func unequalExpertsAreSeparateNetworks(expertRows: [Int], threads: Int) throws {
        let context = ComputeContext(threads: threads), count = expertRows.reduce(0, +)
        let (group, store) = try Self.experts(context, Array(expertRows.indices))
        let rows = context.tensor(normalValues(count * Self.dim, seed: 3), rows: count, columns: Self.dim)
        let doutputs = context.tensor(normalValues(count * Self.dim, seed: 4), rows: count, columns: Self.dim)
        let activations = group.forward(context, rows: rows, expertRows: expertRows)
        let drows = group.backward(
            context, doutputs: doutputs, rows: rows, hidden: activations.hidden, expertRows: expertRows)
        let gradients = try store.gradients()

        // The same of some rows after others, as they arrive, and with hidden floats that are computed again.
        let parts = ExpertRows.all(expertRows).reversed().map { part in
            let middle = part.rows.lowerBound + part.rows.count / 3
            return [middle..<part.rows.upperBound, part.rows.lowerBound..<middle].map {
                ExpertRows(expert: part.expert, rows: $0)
            }
        }
        let again = group.activations(context, expertRows: expertRows)
        let dagain = group.gradients(context, hidden: nil, expertRows: expertRows)
        for part in parts {
            group.forward(context, rows: rows, expertRows: expertRows, part, into: again)
            group.backward(context, doutputs: doutputs, rows: rows, expertRows: expertRows, part, into: dagain)
        }
        #expect(again.hidden.elements == activations.hidden.elements && again.outputs.elements == activations.outputs.elements)
        #expect(dagain.hidden.elements == activations.hidden.elements && dagain.drows.elements == drows.elements)

        let single = ComputeContext(threads: 1)
        var row = 0, hidden = 0
        for (id, count) in expertRows.enumerated() {
            let expert = try Self.experts(single, [id]), width = Self.widths[id]
            let x = rows.rows(row..<row + count), dy = doutputs.rows(row..<row + count)
            let h = single.uninitialized(count, width), y = single.uninitialized(count, Self.dim)
            let dh = single.uninitialized(count, width), dx = single.uninitialized(count, Self.dim)
            if count > 0 {
                let network = expert.experts.experts[0]
                network.hidden(x.pointer, count: count, into: h.pointer)
                network.outputs(h.pointer, count: count, into: y.pointer)
                network.backward(dy.pointer, hidden: h.pointer, count: count, intoHidden: dh.pointer, intoRows: dx.pointer)
                let pass = ExpertBackward(
                    source: 0,
                    count: count, rows: x.pointer, hidden: h.pointer, dhidden: dh.pointer, doutputs: dy.pointer)
                for (index, size) in network.gradientRows.enumerated() { network.addGradient(index, band: 0..<size, pass) }
            }
            let expected = Work(
                hidden: h.elements, outputs: y.elements, drows: dx.elements, gradients: try expert.store.gradients())
            let actual = Work(
                hidden: Array(activations.hidden.elements[hidden..<hidden + count * width]),
                outputs: activations.outputs.rows(row..<row + count).elements,
                drows: drows.rows(row..<row + count).elements,
                gradients: gradients.filter { expected.gradients.keys.contains($0.key) })
            #expect(actual.gradients.count == 4)
            #expect(actual == expected, "expert \(id)")
            row += count
            hidden += count * width
        }
    }

    /// Multiply-adds forward, and twice as many backward.
    @Test func productsAreCounted() throws {
        let context = ComputeContext(), (group, _) = try Self.experts(context, [0, 3])
        let rows = context.zeros(7, Self.dim), before = context.clock.flops
        let activations = group.forward(context, rows: rows, expertRows: [5, 2])
        let forward = context.clock.flops - before
        #expect(forward == 2 * 2 * Self.dim * (5 * Self.widths[0] + 2 * Self.widths[3]))
        _ = group.backward(context, doutputs: rows, rows: rows, hidden: activations.hidden, expertRows: [5, 2])
        #expect(context.clock.flops - before == 3 * forward)
    }
}
