import Autograd
import TensorCore
import Testing

@Suite struct OrthonormalRowsTests {
    private static func weight(rows: Int, columns: Int, seed: UInt64 = 1, name: String = "w") -> Tensor {
        let store = ParameterStore(), context = ComputeContext(threads: 1)
        let parameter = store.add(
            Parameter(weights: [name], outputsEach: rows, inputs: columns, initializer: .orthonormalRows))
        store.materialize(context, seed: seed)
        return context.copy(parameter.value)
    }

    @Test(arguments: [(1, 1), (3, 7), (5, 5), (16, 64)]) func rowsAreOrthogonalAndOfLengthOne(rows: Int, columns: Int) {
        let w = Self.weight(rows: rows, columns: columns)
        for a in 0..<rows {
            for b in 0..<rows {
                let product = (0..<columns).reduce(0.0) { $0 + Double(w[a, $1]) * Double(w[b, $1]) }
                #expect(abs(product - (a == b ? 1 : 0)) < 1e-6, "rows \(a) and \(b)")
            }
        }
    }

    /// Of five rows in three dimensions the first three are orthogonal to one another, and so are the last two.
    @Test func ofMoreRowsThanColumnsEachSoMany() {
        let w = Self.weight(rows: 5, columns: 3)
        func product(_ a: Int, _ b: Int) -> Double { (0..<3).reduce(0.0) { $0 + Double(w[a, $1]) * Double(w[b, $1]) } }
        for (a, b) in [(0, 1), (0, 2), (1, 2), (3, 4)] { #expect(abs(product(a, b)) < 1e-6) }
        for row in 0..<5 { #expect(abs(product(row, row) - 1) < 1e-6) }
    }

    @Test func drawsDependOnSeedAndName() {
        let w = Self.weight(rows: 4, columns: 8).elements
        #expect(w == Self.weight(rows: 4, columns: 8).elements)
        #expect(w != Self.weight(rows: 4, columns: 8, seed: 2).elements)
        #expect(w != Self.weight(rows: 4, columns: 8, name: "v").elements)
    }
}
