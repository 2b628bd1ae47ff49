import Foundation
import TensorCore
import Testing
import _TestSupport

/// Attention of single queries to scattered keys, against softmax written out in 64 bits.
@Suite struct CachedAttentionKernelTests {
    @Test(arguments: [(heads: 1, headDim: 1), (2, 5), (3, 16), (2, 20), (1, 64)], [1, 2])
    func attention(_ size: (heads: Int, headDim: Int), threads: Int) throws {
        let (heads, headDim) = size
        let context = ComputeContext(threads: threads), d = heads * headDim
        // Queries are the first third of wider rows; keys and values lie side by side in two matrices.
        let queries = context.tensor(normalValues(6 * 3 * d, seed: 1), rows: 6, columns: 3 * d)
        let stores = [2, 3].map { context.tensor(normalValues(40 * 2 * d, seed: $0), rows: 40, columns: 2 * d) }
        let lengths = [1, 17, 2, 40, 0, 16]
        let places: [[(store: Int, row: Int)]] = lengths.enumerated().map { query, length in
            (0..<length).map { ($0 % 2, ($0 * 7 + query) % 40) }
        }
        let entries = CachedAttentionKernel.Entries(
            offsets: Segments(lengths: lengths).offsets,
            rows: places.flatMap { $0 }.map { UnsafePointer(stores[$0.store].row($0.row)) }, valueOffset: d)
        let out = context.uninitialized(6, d)
        out.fill(.nan)
        CachedAttentionKernel.run(context, queries: queries, entries: entries, heads: heads, headDim: headDim, into: out)
        for query in 0..<6 {
            for head in 0..<heads {
                let columns = head * headDim..<(head + 1) * headDim
                let scores = places[query].map { place in
                    columns.reduce(0.0) { $0 + Double(queries[query, $1]) * Double(stores[place.store][place.row, $1]) }
                        / Double(headDim).squareRoot()
                }
                let weights = scores.map { exp($0 - scores.max()!) }, sum = weights.reduce(0, +)
                let expected = columns.map { column in
                    Float(
                        zip(weights, places[query]).reduce(0.0) {
                            $0 + $1.0 / sum * Double(stores[$1.1.store][$1.1.row, d + column])
                        })
                }
                try expectClose(columns.map { out[query, $0] }, expected, tolerance: 1e-5, "query \(query), head \(head)")
            }
        }
    }

    /// Keys one after another: what a list of them gives.
    @Test(arguments: [(heads: 2, headDim: 5), (3, 16), (2, 80), (1, 64)]) func spans(_ size: (heads: Int, headDim: Int)) {
        let context = ComputeContext(threads: 2), d = size.heads * size.headDim, counts = [3, 0, 17, 16, 1]
        let queries = context.tensor(normalValues(5 * d, seed: 1), rows: 5, columns: d)
        let keys = context.tensor(normalValues(20 * 2 * d, seed: 2), rows: 20, columns: 2 * d)
        let spans = CachedAttentionKernel.Spans(
            starts: (0..<5).map { UnsafePointer(keys.row($0 % 3)) }, counts: counts, stride: 2 * d, valueOffset: d)
        let entries = CachedAttentionKernel.Entries(
            offsets: Segments(lengths: counts).offsets,
            rows: (0..<5).flatMap { row in (0..<counts[row]).map { UnsafePointer(keys.row(row % 3 + $0)) } }, valueOffset: d)
        let (out, expected) = (context.uninitialized(5, d), context.uninitialized(5, d))
        CachedAttentionKernel.run(
            context, queries: queries, spans: spans, heads: size.heads, headDim: size.headDim, into: out)
        CachedAttentionKernel.run(
            context, queries: queries, entries: entries, heads: size.heads, headDim: size.headDim, into: expected)
        #expect(out.elements == expected.elements)
    }

    @Test func noQueries() {
        let context = ComputeContext(threads: 1)
        CachedAttentionKernel.run(
            context, queries: context.uninitialized(0, 8), entries: .init(offsets: [0], rows: [], valueOffset: 8), heads: 2,
            headDim: 4,
            into: context.uninitialized(0, 8))
    }
}
