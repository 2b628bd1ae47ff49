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

    private func pieces(_ parts: [ExpertRows], _ expertRows: [Int], threads: Int) -> [Piece] {
        let work = parts.reduce(0) { $0 + experts[$1.expert].work * $1.rows.count }, starts = starts(expertRows)
        var pieces: [Piece] = []
        for part in parts {
            let expert = experts[part.expert], count = part.rows.count, start = starts[part.expert]
            // Short enough to even out the threads.
            let share = work / (threads * 4) / expert.work
            let grain = threads == 1 ? GEMM.bandRows : max(96, min(GEMM.bandRows, share))
            // Equal pieces: a short last one would waste the packing of the weights.
            let bands = (count + grain - 1) / grain
            for band in 0..<bands {
                let rows = part.rows.lowerBound + band * count / bands..<part.rows.lowerBound + (band + 1) * count / bands
                pieces.append(
                    Piece(
                        expert: part.expert, rows: rows,
                        hidden: start.hidden + (rows.lowerBound - start.row) * expert.hiddenWidth,
                        work: expert.work * rows.count))
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

    /// Room for the activations of `expertRows[e]` rows of each local expert e.
    func activations(_ context: ComputeContext, expertRows: [Int]) -> Activations {
        precondition(expertRows.count == experts.count)
        return Activations(
            hidden: roomForHidden(context, expertRows), outputs: context.uninitialized(expertRows.reduce(0, +), dim))
    }

    private func roomForHidden(_ context: ComputeContext, _ expertRows: [Int]) -> Tensor {
        context.uninitialized(1, starts(expertRows)[experts.count].hidden)
    }

    /// rows [n, d], `expertRows[e]` of them for local expert e.
    public func forward(_ context: ComputeContext, rows: Tensor, expertRows: [Int]) -> Activations {
        let activations = activations(context, expertRows: expertRows)
        forward(context, rows: rows, expertRows: expertRows, ExpertRows.all(expertRows), into: activations)
        return activations
    }

    /// The same of some of the rows.
    func forward(
        _ context: ComputeContext, rows: Tensor, expertRows: [Int], _ parts: [ExpertRows], into activations: Activations
    ) {
        precondition(expertRows.reduce(0, +) == rows.rows)
        countProducts(context, parts, times: 1)
        let pieces = pieces(parts, expertRows, threads: context.pool.threads)
        context.pool.parallelFor(pieces.count) { index in
            let piece = pieces[index], expert = experts[piece.expert], place = activations.hidden.pointer + piece.hidden
            expert.hidden(rows.row(piece.rows.lowerBound), count: piece.rows.count, into: place)
            expert.outputs(place, count: piece.rows.count, into: activations.outputs.row(piece.rows.lowerBound))
        }
    }

    /// What `forward` computed as `hidden` of some of the rows, again and to the bit.
    private func hidden(
        _ context: ComputeContext, rows: Tensor, expertRows: [Int], _ parts: [ExpertRows], into hidden: Tensor
    ) {
        let pieces = pieces(parts, expertRows, threads: context.pool.threads)
        context.pool.parallelFor(pieces.count) { index in
            let piece = pieces[index]
            experts[piece.expert].hidden(
                rows.row(piece.rows.lowerBound), count: piece.rows.count, into: hidden.pointer + piece.hidden)
        }
    }

    /// What backward works with.
    struct Gradients {
        /// What forward left, and where it is computed again.
        let hidden: Tensor
        let isToBeComputed: Bool
        /// The gradient of `hidden`, laid out like it.
        let dhidden: Tensor
        /// The gradient of the rows, [n, d].
        let drows: Tensor
    }

    /// Room for backward of `expertRows[e]` rows of each local expert e. `hidden` is what forward left; nil: to be computed again.
    func gradients(_ context: ComputeContext, hidden: Tensor?, expertRows: [Int]) -> Gradients {
        let room = roomForHidden(context, expertRows)
        return Gradients(
            hidden: hidden ?? roomForHidden(context, expertRows), isToBeComputed: hidden == nil, dhidden: room,
            drows: context.uninitialized(expertRows.reduce(0, +), dim))
    }

    /// The gradient of the rows from that of the outputs; parameters' gradients are added to, those of each source apart.
    /// `sourceRows[s][e]` of the rows of local expert e are of source s: an expert's rows lie source after source. Nil: all are of
    /// source 0.
    public func backward(
        _ context: ComputeContext, doutputs: Tensor, rows: Tensor, hidden: Tensor, expertRows: [Int],
        sourceRows: [[Int]]? = nil
    ) -> Tensor {
        let gradients = gradients(context, hidden: hidden, expertRows: expertRows)
        backward(
            context, doutputs: doutputs, rows: rows, expertRows: expertRows, ExpertRows.all(expertRows), into: gradients)
        addGradients(
            context, gradients, doutputs: doutputs, rows: rows, expertRows: expertRows, sourceRows: sourceRows ?? [expertRows])
        return gradients.drows
    }

    /// The gradient of some of the rows from that of their outputs.
    func backward(
        _ context: ComputeContext, doutputs: Tensor, rows: Tensor, expertRows: [Int], _ parts: [ExpertRows],
        into gradients: Gradients
    ) {
        if gradients.isToBeComputed { hidden(context, rows: rows, expertRows: expertRows, parts, into: gradients.hidden) }
        countProducts(context, parts, times: 2)
        let pieces = pieces(parts, expertRows, threads: context.pool.threads)
        context.pool.parallelFor(pieces.count) { index in
            let piece = pieces[index], start = piece.rows.lowerBound
            experts[piece.expert].backward(
                doutputs.row(start), hidden: gradients.hidden.pointer + piece.hidden, count: piece.rows.count,
                intoHidden: gradients.dhidden.pointer + piece.hidden, intoRows: gradients.drows.row(start))
        }
    }

    /// Adds to the gradients of parameters, when `backward` has seen all rows: sums over rows have one order.
    func addGradients(
        _ context: ComputeContext, _ gradients: Gradients, doutputs: Tensor, rows: Tensor, expertRows: [Int],
        sourceRows: [[Int]]
    ) {
        let starts = starts(expertRows)
        var passes: [Pass] = []
        for index in experts.indices {
            var (row, place) = starts[index]
            for (source, counts) in sourceRows.enumerated() where counts[index] > 0 {
                passes.append(
                    Pass(
                        expert: experts[index],
                        backward: ExpertBackward(
                            source: source, count: counts[index], rows: rows.row(row),
                            hidden: gradients.hidden.pointer + place, dhidden: gradients.dhidden.pointer + place,
                            doutputs: doutputs.row(row))))
                row += counts[index]
                place += counts[index] * experts[index].hiddenWidth
            }
            precondition(row == starts[index + 1].row, "sources' rows are the experts'")
        }
        addGradients(context, passes)
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

    private func countProducts(_ context: ComputeContext, _ parts: [ExpertRows], times: Int) {
        context.clock.count(flops: 2 * times * parts.reduce(0) { $0 + experts[$1.expert].work * $1.rows.count })
    }
}
