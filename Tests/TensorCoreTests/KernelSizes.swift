import TensorCore
import _TestSupport

/// Widths below, at, between and above the vector widths.
let widths = [1, 7, 16, 24, 31, 32, 33, 64, 250]
/// Row counts: none, one, within a band, over several bands.
let rowCounts = [0, 1, 5, 131]

/// What `compute` gives on 1, 2, 3 and 4 threads.
func onEachThreadCount<Result>(_ compute: (ComputeContext) -> Result) -> [Result] {
    (1...4).map { compute(ComputeContext(threads: $0)) }
}

/// Whether the bits are the same on 1, 2, 3 and 4 threads, and twice on 2.
func isIndependentOfThreads(_ compute: (ComputeContext) -> [Tensor]) -> Bool {
    let results = onEachThreadCount { compute($0).map(\.bits) } + [compute(ComputeContext(threads: 2)).map(\.bits)]
    return results.allSatisfy { $0 == results[0] }
}
