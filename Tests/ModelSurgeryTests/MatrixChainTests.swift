import Collectives
import DataPipeline
import Foundation
import MixtureOfExperts
import Runs
import TensorCore
import Testing
import _TestSupport
import _TinyRuns

@testable import ModelSurgery

/// Matrices as chains of five tensors: the specification's counts and cases, reference decompositions, models.
@Suite(.hangLimit) struct MatrixChainTests {
    @Test(arguments: [
        (512, [4, 4, 4, 4, 2]), (2048, [4, 4, 8, 4, 4]), (4096, [4, 4, 8, 8, 4]), (768, [4, 4, 3, 4, 4]),
        (1024, [4, 4, 4, 4, 4]),
        (1, [1, 1, 1, 1, 1]), (7, [1, 1, 7, 1, 1]),
    ])
    func factors(number: Int, factors: [Int]) { #expect(MatrixChain.factors(of: number) == factors) }

    /// Weights of the five tensors: of transformer-base and big, and cut to 64.
    @Test(
        arguments: [
            (2048, 512, nil, [16, 256, 128, 8], [256, 65_536, 1_048_576, 16_384, 64]),
            (4096, 1024, nil, [16, 256, 512, 16], [256, 65_536, 4_194_304, 262_144, 256]),
            (2048, 512, 64, [16, 64, 64, 8], [256, 16_384, 131_072, 8_192, 64]),
        ] as [(Int, Int, Int?, [Int], [Int])])
    func counts(outputs: Int, inputs: Int, most: Int?, bonds: [Int], counts: [Int]) {
        let chain = MatrixChain(outputs: outputs, inputs: inputs, most: most)
        #expect(chain.bonds == [1] + bonds + [1] && (0..<5).map(chain.count) == counts)
    }

    private static func random(_ count: Int, _ seed: UInt64) -> [Float] {
        (0..<count).map { RandomKey(seed: seed).normal($0) }
    }

    /// A small matrix is wholly in its middle: 2 × 2 by 2 × 2 of Kronecker's product has the singular values √30 √2 and 0.
    @Test func eigenvectorsOfKroneckersProduct() {
        // (i_1 j_1) by (i_2 j_2) of [[1, 2], [3, 4]] ⊗ [[0, 1], [1, 0]].
        let a = [1.0, 2, 3, 4], b = [0.0, 1, 1, 0]
        let rows = a.flatMap { x in b.map { x * $0 } }
        let (values, vectors) = SymmetricMatrix(productOf: rows, columns: 4).eigenvectors()
        #expect(abs(values[0].squareRoot() - 7.745967) < 1e-6 && values.dropFirst().allSatisfy { abs($0) < 1e-12 })
        for (one, vector) in vectors.enumerated() {
            for (two, other) in vectors.enumerated() {
                let inner = zip(vector, other).reduce(0) { $0 + $1.0 * $1.1 }
                #expect(abs(inner - (one == two ? 1 : 0)) < 1e-12)
            }
        }
    }

    /// A Kronecker product is cut to bonds of 1 without loss.
    @Test func aKroneckerProductIsShort() throws {
        let a: [Float] = [1, 2, 3, 4], b: [Float] = [0, 1, 1, 0]
        let matrix: [Float] = (0..<16).map { (index: Int) -> Float in
            let (row, column) = (index / 4, index % 4)
            return a[row / 2 * 2 + column / 2] * b[row % 2 * 2 + column % 2]
        }
        let chain = MatrixChain(outputs: 4, inputs: 4, most: 1)
        #expect(chain.outFactors == [1, 1, 2, 2, 1])
        let (tensors, values) = chain.decomposed(matrix)
        #expect(abs(values[2][0] - 7.745967) < 1e-6 && values[2].dropFirst().allSatisfy { $0 < 1e-6 })
        try expectClose(chain.multiplied(tensors), matrix, tolerance: 1e-6, "rebuilt")
    }

    /// The gradients are those of differences.
    @Test(arguments: [nil, 2] as [Int?]) func gradientsAgreeWithDifferences(most: Int?) throws {
        let chain = MatrixChain(outputs: 12, inputs: 8, most: most)
        var tensors = (0..<5).map { Self.random(chain.count($0), UInt64($0 + 1)) }
        let direction = Self.random(96, 9)
        func withPointers<Result>(_ body: ([UnsafePointer<Float>]) -> Result) -> Result {
            let flat = tensors.map { values in
                let memory = UnsafeMutablePointer<Float>.allocate(capacity: values.count)
                memory.initialize(from: values, count: values.count)
                return memory
            }
            defer { for memory in flat { memory.deallocate() } }
            return body(flat.map { UnsafePointer($0) })
        }
        let gradients = withPointers { pointers in
            direction.withUnsafeBufferPointer { chain.gradients(pointers, of: $0.baseAddress!) }
        }
        func objective() -> Double {
            zip(chain.multiplied(tensors), direction).reduce(0) { $0 + Double($1.0) * Double($1.1) }
        }
        for tensor in 0..<5 {
            for element in tensors[tensor].indices {
                let value = tensors[tensor][element]
                tensors[tensor][element] = value + 0.05
                let above = objective()
                tensors[tensor][element] = value - 0.05
                let below = objective()
                tensors[tensor][element] = value
                // Linear in each element.
                let largest = gradients[tensor].reduce(0) { max($0, abs($1)) }
                #expect(abs((above - below) / 0.1 - Double(gradients[tensor][element])) < 1e-3 * Double(largest))
            }
        }
    }

    /// a ⊗ c ⊗ b with all bonds 1: the gradients of the specification, of a matrix of ones.
    @Test func sharedCentreByHand() {
        let chain = MatrixChain(outputs: 8, inputs: 8, most: 1)
        // 8 = 1 · 2 · 2 · 2 · 1: the first and the last tensor are numbers.
        #expect(chain.outFactors == [1, 2, 2, 2, 1])
        let a: [[Float]] = [[1, 2, 0, 1], [0, 1, 1, 1]], c: [Float] = [1, 0, 1, 1], b: [Float] = [1, -1, 0, 2]
        let ones = [Float](repeating: 1, count: 64)
        var centre: [Float] = [0, 0, 0, 0], parts: [[[Float]]] = []
        for first in a {
            let tensors: [[Float]] = [[1], first, c, b, [1]]
            let flat = tensors.flatMap { $0 }
            let gradients = flat.withUnsafeBufferPointer { flat in
                let base = flat.baseAddress!
                return ones.withUnsafeBufferPointer {
                    chain.gradients([base, base + 1, base + 5, base + 9, base + 13], of: $0.baseAddress!)
                }
            }
            for index in 0..<4 { centre[index] += gradients[2][index] }
            parts.append(gradients)
        }
        #expect(centre == [14, 14, 14, 14])
        #expect(parts[0][1] == [6, 6, 6, 6] && parts[1][1] == [6, 6, 6, 6])
        #expect(parts[0][3] == [12, 12, 12, 12] && parts[1][3] == [9, 9, 9, 9])
    }

    @Test func anUncutMatrixIsRebuilt() {
        let chain = MatrixChain(outputs: 96, inputs: 40), matrix = Self.random(96 * 40, 3)
        let (tensors, _) = chain.decomposed(matrix)
        #expect(FactorisedMatrices.relativeError(chain.multiplied(tensors), matrix) < 1e-5)
        for tensor in [0, 1, 3, 4] {
            let shape = chain.shape(tensor), isLeft = tensor < 2
            let rows = isLeft ? shape[0] * shape[1] * shape[2] : shape[0], columns = tensors[tensor].count / rows
            let count = isLeft ? columns : rows
            for one in 0..<count {
                for two in 0..<count {
                    let inner = (0..<(isLeft ? rows : columns)).reduce(0.0) { sum, other in
                        let (x, y) =
                            isLeft
                            ? (other * columns + one, other * columns + two) : (one * columns + other, two * columns + other)
                        return sum + Double(tensors[tensor][x]) * Double(tensors[tensor][y])
                    }
                    #expect(abs(inner - (one == two ? 1 : 0)) < 1e-5)
                }
            }
        }
    }

    // MARK: reference results

    private static let files = OracleFiles.names("method_mpoe_decompose")

    @Test func thereAreFiles() { #expect(!Self.files.isEmpty) }

    @Test(arguments: files) func asTheReferenceDoes(name: String) throws {
        let file = try OracleFiles.open(name), matrix = file.floats("weight")!
        let shape = try #require(file.entries["weight"]).shape
        let chain = MatrixChain(outputs: shape[0], inputs: shape[1])
        #expect(chain.outFactors == file.integers("out_factors")!.map(Int.init))
        #expect(chain.inFactors == file.integers("in_factors")!.map(Int.init))
        #expect(Array(chain.bonds[1..<5]) == file.integers("bonds")!.map(Int.init))
        let (tensors, values) = chain.decomposed(matrix)
        for bond in 0..<4 {
            try expectClose(
                values[bond].map { Float($0) }, file.floats("singular.\(bond + 1)")!, tolerance: 1e-5, "bond \(bond)")
        }
        for tensor in 0..<5 {
            try expectClose(tensors[tensor], file.floats("core.\(tensor + 1)")!, tolerance: 1e-3, "tensor \(tensor)")
        }
        for (index, cut) in file.integers("cuts")!.enumerated() {
            let short = MatrixChain(outputs: shape[0], inputs: shape[1], most: Int(cut))
            let rebuilt = short.multiplied(short.decomposed(matrix).tensors)
            let error = FactorisedMatrices.relativeError(rebuilt, matrix)
            #expect(abs(error - Double(file.floats("errors")![index])) < 1e-5, "\(cut): \(error)")
            if let expected = file.floats("rebuilt.\(cut)") {
                try expectClose(rebuilt, expected, tolerance: 1e-4, "cut to \(cut)")
            }
        }
    }

    // MARK: models

    private static let dense: StoredModel = {
        let (tensors, configuration) = try! SimulatedCluster.run(ranks: 1) { world in
            let run = try TinyRun(world, TinyPlan(strata: []))
            for _ in 1...5 { _ = try run.trainer.step() }
            var tensors: [String: (shape: [Int], values: [Float])] = [:]
            for location in run.model.store.locations(.replicated) {
                let values = run.model.store.section(.replicated).values.buffer[location.range]
                tensors[location.slice.name] = (location.slice.shape, Array(values))
            }
            return (tensors, run.model.configuration)
        }[0]
        var full = RunConfiguration(data: DataConfiguration(format: .numerals, prepared: "p"))
        full.model = configuration
        return StoredModel(
            configuration: full, parameters: MemoryTensors(tensors: tensors), step: 5, dataFingerprint: "d", tokenizer: "none",
            path: "dense")
    }()

    @Test(arguments: [[4], [2, 3]], [1, 3]) func anUncutModelIsTheDenseOne(strata: [Int], ranks: Int) throws {
        let expected = try heldOutLoss(of: Self.dense, ranks: 1)
        var upcycling = Upcycling(strata: strata)
        upcycling.isFactorised = true
        #expect(upcycling.isExact)
        let whole = try Self.dense.upcycled(upcycling), loss = try heldOutLoss(of: whole, ranks: ranks)
        #expect(abs(loss - expected) < 1e-5 * expected, "\(loss), dense \(expected)")
        #expect(whole.parameters.names.contains("encoder.layers.1.moe.central.fc1"))
        upcycling.truncation = 2
        #expect(!upcycling.isExact)
        let cut = try heldOutLoss(of: Self.dense.upcycled(upcycling), ranks: ranks)
        #expect(abs(cut - expected) > 1e-4 * expected)
        #expect(
            try Self.dense.upcycled(upcycling).history[0].hasPrefix(
                "factorised into strata \(strata), every 2, top-2, bonds up to 2"))
    }

    @Test func whatCannotBeFactorisedIsRefused() throws {
        var upcycling = Upcycling(strata: [4])
        (upcycling.isFactorised, upcycling.noise) = (true, 0.1)
        #expect(throws: SurgeryError.self) { try Self.dense.upcycled(upcycling) }
        upcycling.noise = 0
        var foreign = Self.dense, tensors = (foreign.parameters as! MemoryTensors).tensors
        tensors["encoder.layers.1.ffn.fc1.weight"] = ([2, 2], [0, 0, 0, 0])
        foreign.parameters = MemoryTensors(tensors: tensors)
        #expect { try foreign.upcycled(upcycling) } throws: {
            "\($0)".contains("encoder.layers.1.ffn.fc1.weight must be a matrix")
        }
    }
}
