import TensorCore

/// A matrix [out, in] as a chain of five tensors (a matrix product operator; MPOE, arXiv 2203.01104): with out = Π i_k and in = Π j_k,
/// its elements reordered to (i_1 j_1) … (i_5 j_5) are the product T_1 T_2 T_3 T_4 T_5 over the bonds between them, T_k of shape
/// [r_(k−1), i_k, j_k, r_k]. Tensors are numbered from 0 here; the third, in the middle, is the central one.
public struct MatrixChain: Equatable, Sendable {
    public static let tensors = 5, centre = 2

    /// i_k and j_k.
    public let outFactors: [Int]
    public let inFactors: [Int]
    /// r_0 … r_5; the first and the last are 1.
    public let bonds: [Int]

    /// r_k = min(Π_(m ≤ k) i_m j_m, Π_(m > k) i_m j_m, `most`); without `most` any matrix is such a chain.
    public init(outputs: Int, inputs: Int, most: Int? = nil) {
        let (outFactors, inFactors) = (Self.factors(of: outputs), Self.factors(of: inputs))
        let sizes = zip(outFactors, inFactors).map { $0 * $1 }
        bonds = (0...Self.tensors).map {
            min(sizes[..<$0].reduce(1, *), sizes[$0...].reduce(1, *), $0 == 0 || $0 == Self.tensors ? 1 : most ?? .max)
        }
        (self.outFactors, self.inFactors) = (outFactors, inFactors)
    }

    /// A number as a product of five: its prime factors, the largest first, each to the place of smallest product; of equal ones first
    /// to the middle, then to the fourth, second, first and fifth.
    public static func factors(of number: Int) -> [Int] {
        var primes: [Int] = [], rest = number, divisor = 2
        while rest > 1 {
            if divisor * divisor > rest { divisor = rest }
            while rest % divisor == 0 {
                primes.append(divisor)
                rest /= divisor
            }
            divisor += 1
        }
        return primes.reversed().reduce(into: [Int](repeating: 1, count: tensors)) { places, prime in
            let smallest = [2, 3, 1, 0, 4].min { places[$0] < places[$1] }!
            places[smallest] *= prime
        }
    }

    public var outputs: Int { outFactors.reduce(1, *) }
    public var inputs: Int { inFactors.reduce(1, *) }

    public func shape(_ tensor: Int) -> [Int] {
        [bonds[tensor], outFactors[tensor], inFactors[tensor], bonds[tensor + 1]]
    }

    public func count(_ tensor: Int) -> Int { shape(tensor).reduce(1, *) }

    /// i_k j_k.
    public func size(_ tensor: Int) -> Int { outFactors[tensor] * inFactors[tensor] }

    // The parts of the matrix before, in and behind the middle, as rows and columns: [A, s, B].
    private var before: Int { size(0) * size(1) }
    private var behind: Int { size(3) * size(4) }
    private var middle: Int { size(Self.centre) }

    /// The places of the elements, in the order of the chain, in the matrix: calls `body` with a run of them and their places there.
    private func forEachPlace(_ body: (_ chain: Int, _ matrix: Int) -> Void) {
        /// Rows and columns, of a whole matrix, of the pairs (i_k j_k) (i_(k+1) j_(k+1)) of some tensors.
        func offsets(_ range: Range<Int>) -> [Int] {
            range.reduce([0]) { offsets, tensor in
                let row = outFactors[(tensor + 1)...].reduce(1, *) * inputs, column = inFactors[(tensor + 1)...].reduce(1, *)
                return offsets.flatMap { offset in
                    (0..<size(tensor)).map { offset + $0 / inFactors[tensor] * row + $0 % inFactors[tensor] * column }
                }
            }
        }
        let first = offsets(0..<2), second = offsets(2..<3), third = offsets(3..<5)
        var chain = 0
        for a in first {
            for s in second {
                for b in third {
                    body(chain, a + s + b)
                    chain += 1
                }
            }
        }
    }

    /// The elements of a matrix [out, in] in the order of the chain.
    public func reordered(_ matrix: UnsafePointer<Float>) -> [Float] {
        [Float](unsafeUninitializedCapacity: outputs * inputs) { elements, count in
            let elements = elements.baseAddress!
            forEachPlace { elements[$0] = matrix[$1] }
            count = outputs * inputs
        }
    }

    /// The matrix [out, in] of the five tensors.
    public func multiply(_ tensors: [UnsafePointer<Float>], into matrix: UnsafeMutablePointer<Float>) {
        let left = product(tensors[0], tensors[1], size(0), bonds[1], size(1) * bonds[2])
        let right = product(tensors[3], tensors[4], bonds[3] * size(3), bonds[4], size(4))
        let most = left.withUnsafeBufferPointer {
            product($0.baseAddress!, tensors[2], before, bonds[2], middle * bonds[3])
        }
        let elements = most.withUnsafeBufferPointer { most in
            right.withUnsafeBufferPointer { product(most.baseAddress!, $0.baseAddress!, before * middle, bonds[3], behind) }
        }
        forEachPlace { matrix[$1] = elements[$0] }
    }

    /// The gradients of the five tensors from that of the matrix, [out, in]. With L = T_1 T_2, R = T_4 T_5 and G the reordered
    /// gradient: dL = G (C R)ᵀ, dC = (Lᵀ G) Rᵀ, dR = Cᵀ (Lᵀ G), and dT_1 = dL T_2ᵀ, dT_2 = T_1ᵀ dL, dT_4 = dR T_5ᵀ, dT_5 = T_4ᵀ dR.
    public func gradients(_ tensors: [UnsafePointer<Float>], of gradient: UnsafePointer<Float>) -> [[Float]] {
        let g = reordered(gradient)
        let left = product(tensors[0], tensors[1], size(0), bonds[1], size(1) * bonds[2])
        let right = product(tensors[3], tensors[4], bonds[3] * size(3), bonds[4], size(4))
        return g.withUnsafeBufferPointer { g in
            left.withUnsafeBufferPointer { left in
                right.withUnsafeBufferPointer { right in
                    let (g, left, right) = (g.baseAddress!, left.baseAddress!, right.baseAddress!)
                    let centreRight = product(tensors[2], right, bonds[2] * middle, bonds[3], behind)
                    // [A, s B] · [r_2, s B]ᵀ.
                    let dleft = centreRight.withUnsafeBufferPointer {
                        product(g, $0.baseAddress!, before, middle * behind, bonds[2], transposed: (false, true))
                    }
                    let leftGradient = product(left, g, bonds[2], before, middle * behind, transposed: (true, false))
                    return leftGradient.withUnsafeBufferPointer { leftGradient in
                        dleft.withUnsafeBufferPointer { dleft in
                            let (y, dleft) = (leftGradient.baseAddress!, dleft.baseAddress!)
                            let dcentre = product(y, right, bonds[2] * middle, behind, bonds[3], transposed: (false, true))
                            let dright = product(
                                tensors[2], y, bonds[3], bonds[2] * middle, behind, transposed: (true, false))
                            return dright.withUnsafeBufferPointer { dright in
                                let dright = dright.baseAddress!
                                return [
                                    product(
                                        dleft, tensors[1], size(0), size(1) * bonds[2], bonds[1], transposed: (false, true)),
                                    product(
                                        tensors[0], dleft, bonds[1], size(0), size(1) * bonds[2], transposed: (true, false)),
                                    dcentre,
                                    product(
                                        dright, tensors[4], bonds[3] * size(3), size(4), bonds[4], transposed: (false, true)),
                                    product(
                                        tensors[3], dright, bonds[4], bonds[3] * size(3), size(4), transposed: (true, false)),
                                ]
                            }
                        }
                    }
                }
            }
        }
    }

    /// a [m, k] · b [k, n], either of which may be stored transposed.
    private func product(
        _ a: UnsafePointer<Float>, _ b: UnsafePointer<Float>, _ m: Int, _ k: Int, _ n: Int,
        transposed: (a: Bool, b: Bool) = (false, false)
    ) -> [Float] {
        [Float](unsafeUninitializedCapacity: m * n) { out, count in
            GEMM.multiply(
                m: m, n: n, k: k, GEMM.Factor(a, stride: transposed.a ? m : k, transposed: transposed.a),
                GEMM.Factor(b, stride: transposed.b ? k : n, transposed: transposed.b), into: out.baseAddress!, stride: n)
            count = m * n
        }
    }
}
