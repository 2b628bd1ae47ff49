import Foundation

/// How similar experts become one ("Diversifying the Expert Knowledge for Task-Agnostic Pruning in Sparse Mixture-of-Experts", arXiv
/// 2407.09590, whose method section was not seen: grouping, weights and alignment are Strata's own).
public struct ExpertMerging: Sendable {
    public enum Metric: String, CaseIterable, Sendable {
        /// Centred kernel alignment of what experts make of the same rows.
        case cka
        /// The cosine of their matrices.
        case parameters
    }

    public enum Weights: String, CaseIterable, Sendable {
        /// By the tokens whose first choice an expert is.
        case usage
        case uniform
    }

    /// Groups that are left of each stratum; of the encoder's blocks alone where others are left in the decoder's.
    public var groups: [Int]
    /// Groups that are left of each stratum in the decoder's blocks; nil: as in the encoder's.
    public var decoderGroups: [Int]?
    public var metric = Metric.cka
    public var weights = Weights.usage

    public init(groups: [Int]) { self.groups = groups }
}

/// The experts of one block that become one.
public struct MergedGroup: Equatable, Sendable {
    /// Global ids, ascending.
    public let members: [Int]
    /// The weight of each; they add up to 1.
    public let weights: [Double]
    /// The mean similarity of two of them; 1 for a single one.
    public let similarity: Double
}

enum ExpertSimilarity {
    /// CKA of outputs a and b, [T, d] each, columns centred: ‖aᵀ b‖² / (‖aᵀ a‖ ‖bᵀ b‖), in 0 … 1, for each two of `outputs`.
    static func alignments(_ outputs: [[Float]], dim: Int) -> [[Double]] {
        let centred = outputs.map { Self.centred($0, dim: dim) }, tokens = (outputs.first?.count ?? 0) / max(dim, 1)
        func squared(_ a: Int, _ b: Int) -> Double {
            transposeTimes(centred[a], centred[b], m: dim, n: dim, k: tokens).reduce(0) { $0 + Double($1) * Double($1) }
        }
        let own = outputs.indices.map { squared($0, $0).squareRoot() }
        return symmetric(outputs.count) { a, b in
            let scale = own[a] * own[b]
            return scale > 0 ? squared(a, b) / scale : 0
        }
    }

    /// The cosine of each two of some vectors.
    static func cosines(_ vectors: [[Float]]) -> [[Double]] {
        func product(_ a: [Float], _ b: [Float]) -> Double { zip(a, b).reduce(0) { $0 + Double($1.0) * Double($1.1) } }
        let lengths = vectors.map { product($0, $0).squareRoot() }
        return symmetric(vectors.count) { a, b in
            let scale = lengths[a] * lengths[b]
            return scale > 0 ? product(vectors[a], vectors[b]) / scale : 0
        }
    }

    private static func symmetric(_ count: Int, _ value: (Int, Int) -> Double) -> [[Double]] {
        var matrix = [[Double]](repeating: [Double](repeating: 1, count: count), count: count)
        for a in 0..<count {
            for b in (a + 1)..<max(count, a + 1) {
                matrix[a][b] = value(a, b)
                matrix[b][a] = matrix[a][b]
            }
        }
        return matrix
    }

    private static func centred(_ rows: [Float], dim: Int) -> [Float] {
        let tokens = rows.count / dim
        var means = [Double](repeating: 0, count: dim)
        for index in rows.indices { means[index % dim] += Double(rows[index]) / Double(tokens) }
        return rows.indices.map { Float(Double(rows[$0]) - means[$0 % dim]) }
    }

    /// From single ones, the two groups with the highest mean pairwise similarity become one until `count` are left; of equal ones
    /// those with the lower members. Groups by their lowest members, members ascending.
    static func groups(_ similarity: [[Double]], count: Int) -> [[Int]] {
        var groups = similarity.indices.map { [$0] }
        while groups.count > count {
            var best: (similarity: Double, a: Int, b: Int)?
            for a in groups.indices {
                for b in groups.indices where b > a {
                    let mean = Self.mean(similarity, groups[a], groups[b])
                    if best.map({ mean > $0.similarity }) ?? true { best = (mean, a, b) }
                }
            }
            let (a, b) = (best!.a, best!.b)
            groups[a] = (groups[a] + groups[b]).sorted()
            groups.remove(at: b)
            groups.sort { $0[0] < $1[0] }
        }
        return groups
    }

    /// The mean over each two of `members`; 1 for a single one.
    static func mean(_ similarity: [[Double]], among members: [Int]) -> Double {
        let count = Double(members.count)
        return count > 1 ? (mean(similarity, members, members) * count - 1) / (count - 1) : 1
    }

    /// The mean over pairs of one of a and one of b.
    static func mean(_ similarity: [[Double]], _ a: [Int], _ b: [Int]) -> Double {
        a.reduce(0) { sum, one in b.reduce(sum) { $0 + similarity[one][$1] } } / Double(a.count * b.count)
    }
}

/// The assignment of rows to columns of a square matrix of costs with the least sum (Kuhn's Hungarian method with potentials, O(n³)).
func leastAssignment(_ costs: [Float], count n: Int) -> [Int] {
    var (rowPotential, columnPotential) = ([Double](repeating: 0, count: n + 1), [Double](repeating: 0, count: n + 1))
    // Rows of the columns, and columns on the way to a free one; 0 is none.
    var (rowOfColumn, way) = ([Int](repeating: 0, count: n + 1), [Int](repeating: 0, count: n + 1))
    costs.withUnsafeBufferPointer { costs in
        for row in stride(from: 1, through: n, by: 1) {
            rowOfColumn[0] = row
            var column = 0
            var least = [Double](repeating: .infinity, count: n + 1), isUsed = [Bool](repeating: false, count: n + 1)
            repeat {
                isUsed[column] = true
                let current = rowOfColumn[column], own = costs.baseAddress! + (current - 1) * n
                var (delta, next) = (Double.infinity, 0)
                for other in 1...n where !isUsed[other] {
                    let reduced = Double(own[other - 1]) - rowPotential[current] - columnPotential[other]
                    if reduced < least[other] { (least[other], way[other]) = (reduced, column) }
                    if least[other] < delta { (delta, next) = (least[other], other) }
                }
                for other in 0...n {
                    if isUsed[other] {
                        rowPotential[rowOfColumn[other]] += delta
                        columnPotential[other] -= delta
                    } else {
                        least[other] -= delta
                    }
                }
                column = next
            } while rowOfColumn[column] != 0
            repeat {
                let previous = way[column]
                rowOfColumn[column] = rowOfColumn[previous]
                column = previous
            } while column != 0
        }
    }
    var assignment = [Int](repeating: 0, count: n)
    for column in stride(from: 1, through: n, by: 1) { assignment[rowOfColumn[column] - 1] = column - 1 }
    return assignment
}
