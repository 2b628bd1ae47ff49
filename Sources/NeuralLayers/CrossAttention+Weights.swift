import Autograd
import TensorCore

extension CrossAttention {
    /// How much each row of h [T, d] attends to each row of memory [S, d] of its sentence, the mean over heads: for each row of h as
    /// many weights as its sentence has rows of memory, which add up to 1. Plain loops, for what is asked once a sentence.
    public func weights(
        _ h: Variable, memory: Variable, _ pass: ForwardPass, segments: Segments, memorySegments: Segments
    ) -> [[Float]] {
        precondition(segments.count == memorySegments.count, "a sentence attends to its own memory")
        let queries = queries(h, pass).value, keys = remember(memory, pass)
        return (0..<segments.count).flatMap { sentence in
            segments.range(sentence).map {
                weights(queries.row($0), keys, memorySegments.range(sentence), queries.columns / heads)
            }
        }
    }

    private func weights(_ query: UnsafePointer<Float>, _ keys: Tensor, _ seen: Range<Int>, _ headDim: Int) -> [Float] {
        precondition(!seen.isEmpty, "there must be something to attend to")
        var mean = [Float](repeating: 0, count: seen.count)
        for first in stride(from: 0, to: heads * headDim, by: headDim) {
            var scores = seen.map { row in
                let key = keys.row(row)
                return (first..<first + headDim).reduce(Float(0)) { $0 + query[$1] * key[$1] }
            }
            scores.withUnsafeMutableBufferPointer {
                SoftmaxKernel.normalize($0.baseAddress!, count: $0.count, scale: 1 / Float(headDim).squareRoot())
            }
            for (index, weight) in scores.enumerated() { mean[index] += weight / Float(heads) }
        }
        return mean
    }
}
