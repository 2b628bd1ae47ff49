@testable import TensorCore
import Testing
import _TestSupport

/// Products against sums in double precision, with the kernels that the program uses and with those of other machines.
@Suite struct GEMMTests {
    static let allKernels = GEMM.Kernels.supported
    static let ownKernels = allKernels.filter { $0 != .openBLAS }

    /// A product of random factors, each with a stride larger than its rows, and C within guard values.
    struct Problem {
        let m: Int, n: Int, k: Int
        var transposedA = false, transposedB = false, accumulate = false
        /// Floats by which the matrices' starts are off a cache line.
        var offset = 0

        private static let guardValue: Float = 1e30
        private var cStride: Int { n + 3 }
        private func count(_ rows: Int, _ columns: Int) -> Int { rows * (columns + 2) }

        /// C's elements, guards included; what is to be overwritten is NaN.
        private func before(_ context: ComputeContext) -> [Float] {
            let values = context.normal(m, cStride, seed: 3).elements
            return values.enumerated().map { index, value in
                index % cStride >= n ? Self.guardValue : accumulate ? value : .nan
            }
        }

        private func factors(_ context: ComputeContext) -> (a: [Float], aStride: Int, b: [Float], bStride: Int) {
            let (aRows, aColumns) = transposedA ? (k, m) : (m, k), (bRows, bColumns) = transposedB ? (n, k) : (k, n)
            func padded(_ rows: Int, _ columns: Int, seed: Int) -> [Float] {
                let values = context.normal(rows, columns, seed: seed).elements
                // What lies between the rows must not be read as if it were of them.
                return (0..<rows * (columns + 2)).map { index in
                    index % (columns + 2) < columns ? values[index / (columns + 2) * columns + index % (columns + 2)] : .nan
                }
            }
            return (padded(aRows, aColumns, seed: 1), aColumns + 2, padded(bRows, bColumns, seed: 2), bColumns + 2)
        }

        /// C after the product, guards included.
        func product(using kernels: GEMM.Kernels, precision: GEMM.Precision = .float32) -> [Float] {
            let context = ComputeContext()
            let (a, aStride, b, bStride) = factors(context), c = before(context)
            func placed(_ values: [Float]) -> Tensor {
                context.tensor(
                    [Float](repeating: .nan, count: offset) + values + [.nan], rows: 1, columns: offset + values.count + 1)
            }
            let (ap, bp, cp) = (placed(a), placed(b), placed(c))
            GEMM.multiply(
                using: kernels, precision: precision, m: m, n: n, k: k,
                GEMM.Factor(ap.pointer + offset, stride: aStride, transposed: transposedA),
                GEMM.Factor(bp.pointer + offset, stride: bStride, transposed: transposedB), accumulate: accumulate,
                into: cp.pointer + offset, stride: cStride)
            return Array(cp.elements[offset..<offset + c.count])
        }

        /// Where `product` is not what the definition says, if anywhere; relative to the sum of the products' magnitudes.
        func deviation(using kernels: GEMM.Kernels, precision: GEMM.Precision = .float32) -> String? {
            let context = ComputeContext()
            var (a, aStride, b, bStride) = factors(context)
            let old = before(context), c = product(using: kernels, precision: precision)
            if precision == .bfloat16 { (a, b) = (a.map(\.roundedToBFloat16), b.map(\.roundedToBFloat16)) }
            for row in 0..<m {
                for column in 0..<cStride {
                    let value = c[row * cStride + column]
                    guard column < n else {
                        if value != Self.guardValue { return "\(self): writes to [\(row), \(column)]" }
                        continue
                    }
                    var sum = accumulate ? Double(old[row * cStride + column]) : 0, magnitude = abs(sum)
                    for p in 0..<k {
                        let x = Double(a[transposedA ? p * aStride + row : row * aStride + p])
                        let y = Double(b[transposedB ? column * bStride + p : p * bStride + column])
                        sum += x * y
                        magnitude += abs(x * y)
                    }
                    if !(abs(Double(value) - sum) <= 3e-6 * magnitude) {
                        return "\(self): [\(row), \(column)] is \(value), not \(sum)"
                    }
                }
            }
            return nil
        }

        /// The eight ways to ask for it.
        var variants: [Problem] {
            [false, true].flatMap { a in
                [false, true].flatMap { b in
                    [false, true].map {
                        Problem(m: m, n: n, k: k, transposedA: a, transposedB: b, accumulate: $0, offset: offset)
                    }
                }
            }
        }
    }

    /// Every number of rows of a panel, and every number of columns.
    @Test(arguments: allKernels) func edgesAgreeWithTheDefinition(kernels: GEMM.Kernels) {
        for m in [1, 2, 3, 5, 8, 13, 14, 15, 27, 28, 29, 40] {
            for n in [1, 2, 7, 15, 16, 17, 31, 32, 33, 40, 48, 49, 64, 65] {
                for k in [1, 2, 15, 16, 17, 31, 33, 40] {
                    let problem = Problem(
                        m: m, n: n, k: k, transposedA: (m + k) % 2 == 0, transposedB: (n + k) % 3 == 0,
                        accumulate: (m + n) % 2 == 0)
                    #expect(problem.deviation(using: kernels) == nil)
                }
            }
        }
    }

    @Test(
        arguments: allKernels,
        [
            (1, 1, 1), (14, 32, 64), (15, 33, 65), (40, 70, 513), (3, 100, 1025), (64, 128, 130), (336, 40, 33), (337, 65, 40),
            (700, 33, 515), (340, 2090, 20), (1, 300, 600), (100, 1, 600), (29, 31, 0), (200, 96, 300), (50, 96, 64),
            (50, 96, 65),
        ])
    func blocksAgreeWithTheDefinition(kernels: GEMM.Kernels, shape: (Int, Int, Int)) {
        for problem in Problem(m: shape.0, n: shape.1, k: shape.2).variants {
            #expect(problem.deviation(using: kernels) == nil)
        }
    }

    @Test(arguments: allKernels) func anEmptyProductTouchesNothing(kernels: GEMM.Kernels) {
        for (m, n) in [(0, 5), (5, 0), (0, 0)] {
            for problem in Problem(m: m, n: n, k: 7).variants { #expect(problem.deviation(using: kernels) == nil) }
        }
    }

    @Test(arguments: allKernels) func bitsDoNotDependOnThePlace(kernels: GEMM.Kernels) {
        for problem in Problem(m: 45, n: 77, k: 600).variants {
            let expected = problem.product(using: kernels).map(\.bitPattern)
            for offset in [1, 3, 8, 16] {
                var moved = problem
                moved.offset = offset
                #expect(moved.product(using: kernels).map(\.bitPattern) == expected)
            }
        }
    }

    /// Strata's kernels alone: a call for a part of the rows, or of the columns, gives that part's bits.
    @Test(arguments: ownKernels, [(false, false), (false, true), (true, false), (true, true)])
    func bitsDoNotDependOnTheBand(kernels: GEMM.Kernels, transposed: (a: Bool, b: Bool)) {
        let context = ComputeContext()
        let (m, n, k) = (700, 150, 1100)
        let a = transposed.a ? context.normal(k, m, seed: 1) : context.normal(m, k, seed: 1)
        let b = transposed.b ? context.normal(n, k, seed: 2) : context.normal(k, n, seed: 2)
        func part(_ rows: Range<Int>, _ columns: Range<Int>) -> [UInt32] {
            let c = context.zeros(rows.count, columns.count)
            let first = GEMM.Factor(a.pointer, stride: a.columns, transposed: transposed.a)
            let second = GEMM.Factor(b.pointer, stride: b.columns, transposed: transposed.b)
            GEMM.multiply(
                using: kernels, m: rows.count, n: columns.count, k: k,
                GEMM.Factor(first.address(row: rows.lowerBound, column: 0), stride: a.columns, transposed: transposed.a),
                GEMM.Factor(second.address(row: 0, column: columns.lowerBound), stride: b.columns, transposed: transposed.b),
                accumulate: true, into: c.pointer, stride: columns.count)
            return c.bits
        }
        let whole = part(0..<m, 0..<n)
        for (rows, columns) in [
            (0..<1, 0..<n), (5..<21, 0..<n), (100..<500, 0..<n), (0..<m, 3..<4), (0..<m, 20..<149), (690..<700, 64..<96),
        ] {
            let expected = rows.flatMap { row in whole[row * n + columns.lowerBound..<row * n + columns.upperBound] }
            #expect(part(rows, columns) == expected)
        }
    }

    /// Strata's kernels against the chain that they promise, to the bit: so every instruction set gives the same.
    @Test(arguments: ownKernels) func elementsAreChainsOfFusedAdditions(kernels: GEMM.Kernels) {
        let context = ComputeContext()
        for (m, n, k) in [(1, 1, 1), (16, 33, 64), (37, 50, 513), (150, 17, 1025), (30, 40, 1600)] {
            let a = context.normal(m, k, seed: 1), b = context.normal(k, n, seed: 2), c = context.normal(m, n, seed: 3)
            let depths = EqualParts(k, atMost: 512)
            let expected = (0..<m * n).map { index in
                (0..<depths.count).reduce(c.pointer[index]) { element, part in
                    element
                        + depths[part].reduce(Float(0)) { sum, p in
                            sum.addingProduct(a[index / n, p], b[p, index % n])
                        }
                }
            }
            GEMM.multiply(
                using: kernels, m: m, n: n, k: k, GEMM.Factor(a.pointer, stride: k), GEMM.Factor(b.pointer, stride: n),
                accumulate: true, into: c.pointer, stride: n)
            #expect(c.bits == expected.map(\.bitPattern), "\(m) x \(n) x \(k)")
        }
    }

    @Test func theEnvironmentChoosesKernels() throws {
        #expect(try GEMM.chosenKernels(by: [:]) == GEMM.Kernels.supported[0])
        #expect(try GEMM.chosenKernels(by: ["STRATA_KERNELS": ""]) == GEMM.Kernels.supported[0])
        #expect(try GEMM.chosenKernels(by: ["STRATA_KERNELS": "openblas"]) == .openBLAS)
        let error = #expect(throws: KernelsError.self) { try GEMM.chosenKernels(by: ["STRATA_KERNELS": "sse9"]) }
        #expect(error?.description.contains("openblas on this processor, but is 'sse9'") == true)
    }

    @Test(arguments: allKernels) func whatIsNotFiniteShows(kernels: GEMM.Kernels) {
        let context = ComputeContext()
        let a = context.normal(20, 40, seed: 1), b = context.normal(40, 50, seed: 2), c = context.zeros(20, 50)
        a.pointer[3 * 40 + 7] = .nan
        a.pointer[5 * 40] = .infinity
        b.pointer[0] = 0
        GEMM.multiply(
            using: kernels, m: 20, n: 50, k: 40, GEMM.Factor(a.pointer, stride: 40), GEMM.Factor(b.pointer, stride: 50),
            into: c.pointer, stride: 50)
        for row in 0..<20 {
            for column in 0..<50 {
                let value = c[row, column]
                switch row {
                case 3: #expect(value.isNaN)
                case 5: #expect(column == 0 ? value.isNaN : value.isInfinite)
                default: #expect(value.isFinite)
                }
            }
        }
    }

    /// Calls from several threads at once, each with its own workspace.
    @Test func threadsDoNotDisturbEachOther() {
        let context = ComputeContext(threads: 4)
        let problem = Problem(m: 350, n: 60, k: 90, transposedB: true)
        let expected = problem.product(using: GEMM.kernels).map(\.bitPattern)
        let agrees = context.zeros(1, 64), pointer = agrees.pointer
        context.pool.parallelFor(64) {
            pointer[$0] = problem.product(using: GEMM.kernels).map(\.bitPattern) == expected ? 1 : 0
        }
        #expect(agrees.elements.allSatisfy { $0 == 1 })
    }
}
