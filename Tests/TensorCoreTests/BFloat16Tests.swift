@testable import TensorCore
import Testing
import _TestSupport

extension Float {
    /// To the nearest bfloat16, ties to even; what is smaller than a normal number becomes zero.
    var roundedToBFloat16: Float {
        guard isFinite else { return self }
        let bits = flushed.bitPattern
        return Float(bitPattern: (bits + 0x7FFF + (bits >> 16 & 1)) & 0xFFFF_0000)
    }

    /// Zero of the same sign instead of a subnormal number.
    var flushed: Float { isSubnormal ? Float(sign: sign, exponent: 0, significand: 0) : self }
}

/// Products in bfloat16 against sums in double precision, and against the chain that they promise: with the processor's
/// instructions, where it has them, and with what stands for them elsewhere.
@Suite struct BFloat16Tests {
    static let kernels = GEMM.Kernels.supported.filter { $0.panels(.bfloat16) != nil }

    @Test(arguments: kernels) func edgesAgreeWithTheDefinition(kernels: GEMM.Kernels) {
        for m in [1, 2, 5, 13, 14, 15, 28, 29, 40] {
            for n in [1, 7, 15, 16, 17, 32, 33, 49, 65] {
                for k in [1, 2, 3, 15, 16, 17, 31, 32, 33, 34, 47, 63, 64, 65] {
                    let problem = GEMMTests.Problem(
                        m: m, n: n, k: k, transposedA: (m + k) % 2 == 0, transposedB: (n + k) % 3 == 0,
                        accumulate: (m + n) % 2 == 0, offset: k % 3)
                    #expect(problem.deviation(using: kernels, precision: .bfloat16) == nil)
                }
            }
        }
    }

    @Test(
        arguments: kernels,
        [(3, 100, 2049), (336, 40, 33), (337, 65, 130), (700, 33, 1030), (340, 2090, 20), (100, 1, 1200), (29, 31, 0)])
    func blocksAgreeWithTheDefinition(kernels: GEMM.Kernels, shape: (Int, Int, Int)) {
        for problem in GEMMTests.Problem(m: shape.0, n: shape.1, k: shape.2).variants {
            #expect(problem.deviation(using: kernels, precision: .bfloat16) == nil)
        }
    }

    /// What the instructions do, written out: of each pair of rounded factors the second product is added first.
    private func element(_ depth: Range<Int>, _ a: (Int) -> Float, _ b: (Int) -> Float) -> Float {
        stride(from: depth.lowerBound, to: depth.upperBound, by: 2).reduce(Float(0)) { sum, p in
            let second = p + 1 < depth.upperBound ? (a(p + 1), b(p + 1)) : (0, 0)
            let afterSecond = sum.addingProduct(second.0.roundedToBFloat16, second.1.roundedToBFloat16).flushed
            return afterSecond.addingProduct(a(p).roundedToBFloat16, b(p).roundedToBFloat16).flushed
        }
    }

    /// To the bit, ordinary numbers and such that products of them are too small: so every processor gives the same.
    @Test(arguments: kernels, [Float(1), 1e-19, 1e-30]) func elementsAreChainsOfPairs(kernels: GEMM.Kernels, scale: Float) {
        let context = ComputeContext()
        for (m, n, k) in [(1, 1, 1), (16, 33, 64), (37, 50, 1025), (150, 17, 2049), (30, 40, 63)] {
            let a = context.normal(m, k, seed: 1, deviation: scale), b = context.normal(k, n, seed: 2, deviation: scale)
            let c = context.normal(m, n, seed: 3, deviation: scale * scale)
            let depths = EqualParts((k + 1) / 2, atMost: PackedPanels.depth)
            let expected = (0..<m * n).map { index in
                (0..<depths.count).reduce(c.pointer[index]) { sum, part in
                    let depth = 2 * depths[part].lowerBound..<min(k, 2 * depths[part].upperBound)
                    return sum + element(depth, { a[index / n, $0] }, { b[$0, index % n] })
                }
            }
            GEMM.multiply(
                using: kernels, precision: .bfloat16, m: m, n: n, k: k, GEMM.Factor(a.pointer, stride: k),
                GEMM.Factor(b.pointer, stride: n), accumulate: true, into: c.pointer, stride: n)
            #expect(c.bits == expected.map(\.bitPattern), "\(m) x \(n) x \(k)")
        }
    }

    @Test(arguments: kernels) func bitsDoNotDependOnTheBand(kernels: GEMM.Kernels) {
        let context = ComputeContext(), (m, n, k) = (700, 150, 2100)
        let a = context.normal(k, m, seed: 1), b = context.normal(n, k, seed: 2)
        func part(_ rows: Range<Int>, _ columns: Range<Int>) -> [UInt32] {
            let c = context.zeros(rows.count, columns.count)
            GEMM.multiply(
                using: kernels, precision: .bfloat16, m: rows.count, n: columns.count, k: k,
                GEMM.Factor(a.pointer + rows.lowerBound, stride: m, transposed: true),
                GEMM.Factor(b.row(columns.lowerBound), stride: k, transposed: true), into: c.pointer, stride: columns.count)
            return c.bits
        }
        let whole = part(0..<m, 0..<n)
        for (rows, columns) in [(0..<1, 0..<n), (5..<21, 20..<149), (100..<500, 0..<n), (0..<m, 3..<4)] {
            let expected = rows.flatMap { row in whole[row * n + columns.lowerBound..<row * n + columns.upperBound] }
            #expect(part(rows, columns) == expected)
        }
    }

    @Test(arguments: kernels) func whatIsNotFiniteShows(kernels: GEMM.Kernels) {
        let context = ComputeContext()
        let a = context.normal(6, 41, seed: 1), b = context.normal(41, 50, seed: 2), c = context.zeros(6, 50)
        a.pointer[3 * 41 + 7] = .nan
        // A payload that rounding would carry out of the exponent.
        a.pointer[4 * 41 + 40] = Float(bitPattern: 0x7FFF_FFFF)
        a.pointer[5 * 41] = .infinity
        GEMM.multiply(
            using: kernels, precision: .bfloat16, m: 6, n: 50, k: 41, GEMM.Factor(a.pointer, stride: 41),
            GEMM.Factor(b.pointer, stride: 50), into: c.pointer, stride: 50)
        for column in 0..<50 {
            #expect(c[3, column].isNaN && c[4, column].isNaN && c[5, column].isInfinite)
            #expect((0..<3).allSatisfy { c[$0, column].isFinite })
        }
    }

    @Test func trainingIsRefusedWhereItWouldBeSlower() throws {
        try GEMM.checkTraining(in: .float32, using: .openBLAS, environment: [:])
        let openBLAS = #expect(throws: PrecisionError.self) {
            try GEMM.checkTraining(in: .bfloat16, using: .openBLAS, environment: [:])
        }
        #expect(openBLAS?.description.contains("multiply floats alone") == true)
        guard Self.kernels.contains(.avx2) else { return }
        let avx2 = #expect(throws: PrecisionError.self) {
            try GEMM.checkTraining(in: .bfloat16, using: .avx2, environment: [:])
        }
        #expect(avx2?.description.contains("lacks its instructions (AVX512_BF16)") == true)
        #expect(avx2?.description.contains("STRATA_KERNELS=avx2") == true)
        try GEMM.checkTraining(in: .bfloat16, using: .avx2, environment: ["STRATA_KERNELS": "avx2"])
    }
}
