import Autograd
import NeuralLayers
import TensorCore

/// The experts that a rank hosts, applied to rows sorted by expert: one set of products per expert, scheduled over the worker
/// pool with the largest pieces first. An expert without rows costs nothing.
public struct GroupedExperts {
    public let experts: [FeedForward]
    private let dim: Int
    private let ffnDim: Int

    /// Parameters `<name>.experts.<global id>.{fc1,fc2}.{weight,bias}`.
    public init(name: String, ids: [Int], dim: Int, ffnDim: Int, store: ParameterStore) {
        experts = ids.map {
            FeedForward(name: "\(name).experts.\($0)", dim: dim, ffnDim: ffnDim, placement: .expert, store: store)
        }
        self.dim = dim
        self.ffnDim = ffnDim
    }

    /// Rows of one expert: the unit of scheduling.
    private struct Piece {
        let expert: Int
        let rows: Range<Int>
    }

    private static func pieces(_ expertRows: [Int], threads: Int) -> [Piece] {
        let total = expertRows.reduce(0, +)
        // Short enough to even out the threads.
        let grain = threads == 1 ? GEMM.bandRows : max(96, min(GEMM.bandRows, total / (threads * 4)))
        var pieces: [Piece] = [], start = 0
        for (expert, count) in expertRows.enumerated() {
            // Equal pieces: a short last one would waste the packing of the weights.
            let parts = (count + grain - 1) / grain
            for part in 0..<parts {
                pieces.append(
                    Piece(
                        expert: expert, rows: start + part * count / parts..<start + (part + 1) * count / parts))
            }
            start += count
        }
        return threads == 1 ? pieces : pieces.sorted { $0.rows.count > $1.rows.count }
    }

    /// What forward saves for backward.
    public struct Activations {
        /// relu(w1 h + b1), [rows, ffn].
        public let hidden: Tensor
        /// w2 hidden + b2, [rows, d].
        public let outputs: Tensor
    }

    /// rows [n, d], `expertRows[e]` of them for local expert e.
    public func forward(_ context: ComputeContext, rows: Tensor, expertRows: [Int]) -> Activations {
        precondition(expertRows.count == experts.count && expertRows.reduce(0, +) == rows.rows)
        context.clock.countProducts(2, m: rows.rows, n: ffnDim, k: dim)
        let hidden = context.uninitialized(rows.rows, ffnDim), outputs = context.uninitialized(rows.rows, dim)
        let pieces = Self.pieces(expertRows, threads: context.pool.threads)
        let weights = experts.map { ($0.weight1.value, $0.bias1.value, $0.weight2.value, $0.bias2.value) }
        context.pool.parallelFor(pieces.count) { index in
            let piece = pieces[index]
            let (w1, b1, w2, b2) = weights[piece.expert]
            activate(piece, rows, w1, b1, into: hidden)
            GEMM.multiply(
                m: piece.rows.count, n: dim, k: ffnDim, GEMM.Factor(hidden.row(piece.rows.lowerBound), stride: ffnDim),
                GEMM.Factor(w2.pointer, stride: ffnDim, transposed: true), epilogue: .bias(b2.pointer),
                into: outputs.row(piece.rows.lowerBound), stride: dim)
        }
        return Activations(hidden: hidden, outputs: outputs)
    }

    /// What `forward` computed as `hidden`, again and to the bit.
    public func hidden(_ context: ComputeContext, rows: Tensor, expertRows: [Int]) -> Tensor {
        let hidden = context.uninitialized(rows.rows, ffnDim)
        let pieces = Self.pieces(expertRows, threads: context.pool.threads)
        let weights = experts.map { ($0.weight1.value, $0.bias1.value) }
        context.pool.parallelFor(pieces.count) { index in
            let (w1, b1) = weights[pieces[index].expert]
            activate(pieces[index], rows, w1, b1, into: hidden)
        }
        return hidden
    }

    private func activate(_ piece: Piece, _ rows: Tensor, _ w1: Tensor, _ b1: Tensor, into hidden: Tensor) {
        GEMM.multiply(
            m: piece.rows.count, n: ffnDim, k: dim, GEMM.Factor(rows.row(piece.rows.lowerBound), stride: dim),
            GEMM.Factor(w1.pointer, stride: dim, transposed: true), epilogue: .rectifiedBias(b1.pointer),
            into: hidden.row(piece.rows.lowerBound), stride: ffnDim)
    }

    /// The gradient of the rows from that of the outputs; parameters' gradients are added to.
    public func backward(
        _ context: ComputeContext, doutputs: Tensor, rows: Tensor, hidden: Tensor, expertRows: [Int]
    ) -> Tensor {
        context.clock.countProducts(4, m: rows.rows, n: ffnDim, k: dim)
        let dhidden = context.uninitialized(rows.rows, ffnDim), drows = context.uninitialized(rows.rows, dim)
        let pieces = Self.pieces(expertRows, threads: context.pool.threads)
        let weights = experts.map { ($0.weight1.value, $0.weight2.value) }
        context.pool.parallelFor(pieces.count) { index in
            let piece = pieces[index], start = piece.rows.lowerBound
            let (w1, w2) = weights[piece.expert]
            GEMM.multiply(
                m: piece.rows.count, n: ffnDim, k: dim, GEMM.Factor(doutputs.row(start), stride: dim),
                GEMM.Factor(w2.pointer, stride: ffnDim),
                epilogue: .rectifierGradient(activation: hidden.row(start), stride: ffnDim), into: dhidden.row(start),
                stride: ffnDim)
            GEMM.multiply(
                m: piece.rows.count, n: dim, k: ffnDim, GEMM.Factor(dhidden.row(start), stride: ffnDim),
                GEMM.Factor(w1.pointer, stride: dim), into: drows.row(start), stride: dim)
        }
        backwardParameters(context, doutputs: doutputs, rows: rows, hidden: hidden, dhidden: dhidden, expertRows: expertRows)
        return drows
    }

    /// Bands of each expert's two weight gradients, the experts with most rows first.
    private func backwardParameters(
        _ context: ComputeContext, doutputs: Tensor, rows: Tensor, hidden: Tensor, dhidden: Tensor, expertRows: [Int]
    ) {
        struct Band {
            let expert: Int
            let start: Int
            let isFirstLayer: Bool
            let outputs: Range<Int>
        }
        var bands: [Band] = [], start = 0
        let parts = context.pool.threads == 1 ? 1 : context.pool.threads * 2
        for (expert, count) in expertRows.enumerated() {
            if count > 0 {
                for isFirstLayer in [true, false] {
                    let size = isFirstLayer ? ffnDim : dim
                    for part in 0..<parts where (part + 1) * size / parts > part * size / parts {
                        bands.append(
                            Band(
                                expert: expert, start: start, isFirstLayer: isFirstLayer,
                                outputs: part * size / parts..<(part + 1) * size / parts))
                    }
                }
            }
            start += count
        }
        if context.pool.threads > 1 { bands.sort { expertRows[$0.expert] > expertRows[$1.expert] } }
        let gradients = experts.map { ($0.weight1.gradient, $0.bias1.gradient, $0.weight2.gradient, $0.bias2.gradient) }
        context.pool.parallelFor(bands.count) { index in
            let band = bands[index], count = expertRows[band.expert]
            let (dw1, db1, dw2, db2) = gradients[band.expert]
            let (dy, x, dw, db) = band.isFirstLayer ? (dhidden, rows, dw1, db1) : (doutputs, hidden, dw2, db2)
            GEMM.multiply(
                m: band.outputs.count, n: x.columns, k: count,
                GEMM.Factor(dy.row(band.start) + band.outputs.lowerBound, stride: dy.columns, transposed: true),
                GEMM.Factor(x.row(band.start), stride: x.columns), accumulate: true,
                into: dw.row(band.outputs.lowerBound), stride: x.columns)
            Elementwise.addColumnSums(
                dy.row(band.start), rows: count, stride: dy.columns, columns: band.outputs, to: db.pointer)
        }
    }
}
