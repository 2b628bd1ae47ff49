import TensorCore

/// The experts that a rank hosts, applied to rows sorted by expert: pieces of about equal work are scheduled over the worker
/// pool, the largest first. An expert without rows costs nothing. It knows no parameters and no matrices.
public struct GroupedExperts {
    public let experts: [any ExpertNetwork]
    private let dim: Int

    public init(_ experts: [any ExpertNetwork], dim: Int) {
        self.experts = experts
        self.dim = dim
    }

    /// Some rows of one expert: the unit of scheduling.
    private struct Piece {
        let expert: Int
        let rows: Range<Int>
        /// The first of them in the buffers of hidden floats.
        let hidden: Int
        let work: Int
    }

    /// The first row of each expert, and its place in the buffers of hidden floats; at last where both end.
    private func starts(_ expertRows: [Int]) -> [(row: Int, hidden: Int)] {
        zip(experts, expertRows).reduce(into: [(row: 0, hidden: 0)]) { starts, next in
            let last = starts[starts.count - 1]
            starts.append((last.row + next.1, last.hidden + next.1 * next.0.hiddenWidth))
        }
    }

    private func pieces(_ expertRows: [Int], threads: Int) -> [Piece] {
        let work = zip(experts, expertRows).reduce(0) { $0 + $1.0.work * $1.1 }, starts = starts(expertRows)
        var pieces: [Piece] = []
        for (index, (expert, count)) in zip(experts, expertRows).enumerated() {
            // Short enough to even out the threads.
            let share = work / (threads * 4) / expert.work
            let grain = threads == 1 ? GEMM.bandRows : max(96, min(GEMM.bandRows, share))
            // Equal pieces: a short last one would waste the packing of the weights.
            let parts = (count + grain - 1) / grain
            for part in 0..<parts {
                let rows = part * count / parts..<(part + 1) * count / parts
                pieces.append(
                    Piece(
                        expert: index, rows: starts[index].row + rows.lowerBound..<starts[index].row + rows.upperBound,
                        hidden: starts[index].hidden + rows.lowerBound * expert.hiddenWidth, work: expert.work * rows.count))
            }
        }
        return threads == 1 ? pieces : pieces.sorted { $0.work > $1.work }
    }

    /// What forward saves for backward.
    public struct Activations {
        /// Hidden floats, expert after expert, of an expert's rows [rows, hiddenWidth]; one row.
        public let hidden: Tensor
        /// The experts' outputs, [rows, d].
        public let outputs: Tensor
    }

    /// rows [n, d], `expertRows[e]` of them for local expert e.
    public func forward(_ context: ComputeContext, rows: Tensor, expertRows: [Int]) -> Activations {
        precondition(expertRows.count == experts.count && expertRows.reduce(0, +) == rows.rows)
        countProducts(context, expertRows, times: 1)
        let hidden = context.uninitialized(1, starts(expertRows)[experts.count].hidden)
        let outputs = context.uninitialized(rows.rows, dim)
        let pieces = pieces(expertRows, threads: context.pool.threads)
        context.pool.parallelFor(pieces.count) { index in
            let piece = pieces[index], expert = experts[piece.expert], place = hidden.pointer + piece.hidden
            expert.hidden(rows.row(piece.rows.lowerBound), count: piece.rows.count, into: place)
            expert.outputs(place, count: piece.rows.count, into: outputs.row(piece.rows.lowerBound))
        }
        return Activations(hidden: hidden, outputs: outputs)
    }

    /// What `forward` computed as `hidden`, again and to the bit.
    public func hidden(_ context: ComputeContext, rows: Tensor, expertRows: [Int]) -> Tensor {
        let hidden = context.uninitialized(1, starts(expertRows)[experts.count].hidden)
        let pieces = pieces(expertRows, threads: context.pool.threads)
        context.pool.parallelFor(pieces.count) { index in
            let piece = pieces[index]
            experts[piece.expert].hidden(
                rows.row(piece.rows.lowerBound), count: piece.rows.count, into: hidden.pointer + piece.hidden)
        }
        return hidden
    }

    /// The gradient of the rows from that of the outputs; parameters' gradients are added to, those of each source apart.
    /// `sourceRows[s][e]` of the rows of local expert e are of source s: an expert's rows lie source after source. Nil: all are of
    /// source 0.
    public func backward(
        _ context: ComputeContext, doutputs: Tensor, rows: Tensor, hidden: Tensor, expertRows: [Int],
        sourceRows: [[Int]]? = nil
    ) -> Tensor {
        countProducts(context, expertRows, times: 2)
        let dhidden = context.uninitialized(1, hidden.columns), drows = context.uninitialized(rows.rows, dim)
        let pieces = pieces(expertRows, threads: context.pool.threads)
        context.pool.parallelFor(pieces.count) { index in
            let piece = pieces[index], start = piece.rows.lowerBound
            experts[piece.expert].backward(
                doutputs.row(start), hidden: hidden.pointer + piece.hidden, count: piece.rows.count,
                intoHidden: dhidden.pointer + piece.hidden, intoRows: drows.row(start))
        }
        let starts = starts(expertRows)
        var passes: [Pass] = []
        for index in experts.indices {
            var (row, place) = starts[index]
            for (source, counts) in (sourceRows ?? [expertRows]).enumerated() where counts[index] > 0 {
                passes.append(
                    Pass(
                        expert: experts[index],
                        backward: ExpertBackward(
                            source: source, count: counts[index], rows: rows.row(row), hidden: hidden.pointer + place,
                            dhidden: dhidden.pointer + place, doutputs: doutputs.row(row))))
                row += counts[index]
                place += counts[index] * experts[index].hiddenWidth
            }
            precondition(row == starts[index + 1].row, "sources' rows are the experts'")
        }
        addGradients(context, passes)
        return drows
    }

    /// The rows of one expert from one source.
    private struct Pass {
        let expert: any ExpertNetwork
        let backward: ExpertBackward
        var work: Int { expert.work * backward.count }
    }

    /// Bands of each pass's parameter gradients, the passes with most work first.
    private func addGradients(_ context: ComputeContext, _ passes: [Pass]) {
        struct Band {
            let pass: Int
            let gradient: Int
            let rows: Range<Int>
        }
        let parts = context.pool.threads == 1 ? 1 : context.pool.threads * 2
        let passes = context.pool.threads == 1 ? passes : passes.sorted { $0.work > $1.work }
        var bands: [Band] = []
        for (index, pass) in passes.enumerated() {
            for (gradient, size) in pass.expert.gradientRows.enumerated() {
                for part in 0..<parts where (part + 1) * size / parts > part * size / parts {
                    bands.append(Band(pass: index, gradient: gradient, rows: part * size / parts..<(part + 1) * size / parts))
                }
            }
        }
        context.pool.parallelFor(bands.count) { index in
            let band = bands[index], pass = passes[band.pass]
            pass.expert.addGradient(band.gradient, band: band.rows, pass.backward)
        }
    }

    private func countProducts(_ context: ComputeContext, _ expertRows: [Int], times: Int) {
        context.clock.count(flops: 2 * times * zip(experts, expertRows).reduce(0) { $0 + $1.0.work * $1.1 })
    }
}
