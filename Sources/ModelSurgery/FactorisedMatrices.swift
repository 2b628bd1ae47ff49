import Checkpoints
import MixtureOfExperts
import Synchronization

/// Dense matrices as chains of tensors, which are made when one is read: the last two stay in memory.
final class FactorisedMatrices: Sendable {
    private struct Made {
        let name: String
        let tensors: [[Float]]
    }

    private let dense: any NamedTensors
    private let most: Int?
    private let report: @Sendable (_ matrix: String, _ error: Double) -> Void
    private let made = Mutex<[Made]>([])

    /// `most`: the largest bond. `report` is told the relative error, by the Frobenius norm, of each matrix that is made.
    init(of dense: any NamedTensors, most: Int?, report: @escaping @Sendable (_ matrix: String, _ error: Double) -> Void) {
        (self.dense, self.most, self.report) = (dense, most, report)
    }

    /// Elements of a tensor of a matrix's chain.
    func read(_ name: String, _ tensor: Int, _ elements: Range<Int>, into target: UnsafeMutablePointer<Float>) throws {
        let tensors = try tensors(name)
        tensors[tensor].withUnsafeBufferPointer {
            target.update(from: $0.baseAddress! + elements.lowerBound, count: elements.count)
        }
    }

    private func tensors(_ name: String) throws -> [[Float]] {
        if let known = made.withLock({ $0.first { $0.name == name } }) { return known.tensors }
        let shape = dense.shape(name)!, matrix = try dense.values(name)
        let chain = MatrixChain(outputs: shape[0], inputs: shape[1], most: most)
        let tensors = chain.decomposed(matrix).tensors
        report(name, Self.relativeError(chain.multiplied(tensors), matrix))
        made.withLock { $0 = $0.suffix(1) + [Made(name: name, tensors: tensors)] }
        return tensors
    }

    static func relativeError(_ made: [Float], _ matrix: [Float]) -> Double {
        var (difference, size) = (0.0, 0.0)
        for (a, b) in zip(made, matrix) {
            difference += (Double(a) - Double(b)) * (Double(a) - Double(b))
            size += Double(b) * Double(b)
        }
        return size > 0 ? (difference / size).squareRoot() : 0
    }
}
