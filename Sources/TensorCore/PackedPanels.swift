import CKernels

/// Products of packed panels: blocks of the left factor that fit the second-level cache, times panels of the right factor.
///
/// Every element is the sum of parts of k, in ascending order, of which each is one chain of fused multiplications and
/// additions over ascending steps: of one product, or of two in bfloat16. Where k is cut depends on k and the precision alone,
/// and not on the instructions.
struct PackedPanels {
    /// Steps of a chain, at most. With fewer C would be read and written more often. A panel of the right factor, of 32 or
    /// 64 KB then, need not fit the first-level cache: it is read from end to end.
    static let depth = 512
    /// Columns of the right factor that are kept packed for several blocks of rows, at most.
    static let bandColumns = 2048
    /// Rows of a block of the left factor, at most, with any instructions.
    static let largestBlockRows = 336
    /// Blocks are small if chains are no longer than this.
    private static let shortDepth = 64

    /// Blocks of 672 KB, which leaves room in the cache of a processor with AVX-512 for what passes through.
    static let avx512 = CKernels_panelsAVX512().map {
        PackedPanels($0.pointee, blockRows: 336, shortBlockRows: 14, bandRows: 336, rowsWorthPacking: 128)
    }
    /// Blocks of 288 KB, for second-level caches of 512 KB.
    static let avx2 = CKernels_panelsAVX2().map {
        PackedPanels($0.pointee, blockRows: 144, shortBlockRows: 24, bandRows: 576, rowsWorthPacking: 13)
    }
    /// As with floats; but panels are always packed, for they are rounded on the way.
    static let bfloat16AVX512 = CKernels_bfloat16PanelsAVX512().map {
        PackedPanels($0.pointee, blockRows: 336, shortBlockRows: 14, bandRows: 336, rowsWorthPacking: 0)
    }
    static let bfloat16AVX2 = CKernels_bfloat16PanelsAVX2().map {
        PackedPanels($0.pointee, blockRows: 144, shortBlockRows: 24, bandRows: 576, rowsWorthPacking: 0)
    }

    private let kernels: CKernels_Panels
    /// Rows of a block of the left factor, at most.
    private let blockRows: Int
    /// Rows of a block if chains are short.
    private let shortBlockRows: Int
    /// Rows of a product that is one piece of work, at most.
    let bandRows: Int
    /// Rows of a block that make up for packing panels of the right factor that could be read in place.
    private let rowsWorthPacking: Int
    private let panelColumns: Int
    private let stepElements: Int

    private init(_ kernels: CKernels_Panels, blockRows: Int, shortBlockRows: Int, bandRows: Int, rowsWorthPacking: Int) {
        self.kernels = kernels
        self.blockRows = blockRows
        self.shortBlockRows = shortBlockRows
        self.bandRows = bandRows
        self.rowsWorthPacking = rowsWorthPacking
        panelColumns = kernels.columns
        stepElements = kernels.stepElements
    }

    /// The product of `GEMM.multiply`; m and n are not 0.
    func multiply(
        m: Int, n: Int, k: Int, _ a: GEMM.Factor, _ b: GEMM.Factor, accumulate: Bool,
        epilogue: GEMM.Epilogue, into c: UnsafeMutablePointer<Float>, stride: Int
    ) {
        let workspace = PackingWorkspace.take()
        defer { PackingWorkspace.giveBack(workspace) }
        let steps = (k + stepElements - 1) / stepElements
        let blocks = EqualParts(m, atMost: blockRows(steps: steps)), depths = EqualParts(steps, atMost: Self.depth)
        let band = blocks.count == 1 ? n : Self.bandColumns
        var column = 0
        while column < n {
            let columns = column..<min(n, column + band)
            for part in 0..<depths.count {
                let steps = depths[part]
                let ks = steps.lowerBound * stepElements..<min(k, steps.upperBound * stepElements)
                for block in 0..<blocks.count {
                    let rows = blocks[block]
                    kernels.packLeft(
                        a.address(row: rows.lowerBound, column: ks.lowerBound), a.stride, a.isTransposed, rows.count, ks.count,
                        workspace.left)
                    multiplyBlock(
                        workspace, rows: rows.count, b, columns: columns, ks: ks,
                        panels: blocks.count == 1 ? .usedOnce : block == 0 ? .keptForOthers : .packedBefore,
                        accumulate: accumulate || part > 0,
                        epilogue: part + 1 < depths.count ? .none : epilogue.from(row: rows.lowerBound, column: 0),
                        into: c + rows.lowerBound * stride, stride: stride)
                }
            }
            column = columns.upperBound
        }
    }

    /// With short chains C is most of what passes through memory. It is fastest a few rows at a time from end to end, where the
    /// processor sees what comes next; the whole right factor stays in the cache then.
    private func blockRows(steps: Int) -> Int {
        steps > Self.shortDepth ? blockRows : steps > Self.shortDepth / 2 ? 2 * shortBlockRows : shortBlockRows
    }

    /// What a block of rows finds and leaves of the panels of the right factor.
    private enum Panels { case usedOnce, keptForOthers, packedBefore }

    /// The packed block of rows times `columns` of B, panel by panel. `c` is the first of the rows.
    ///
    /// Panels that are used once take each other's place, which stays in the cache. Of a matrix that is not transposed they
    /// are not packed at all but read in place, if there are few rows to read them for.
    private func multiplyBlock(
        _ workspace: PackingWorkspace, rows: Int, _ b: GEMM.Factor, columns: Range<Int>, ks: Range<Int>, panels: Panels,
        accumulate: Bool, epilogue: GEMM.Epilogue, into c: UnsafeMutablePointer<Float>, stride: Int
    ) {
        let steps = (ks.count + stepElements - 1) / stepElements
        var start = columns.lowerBound
        while start < columns.upperBound {
            let next = start + panelColumns, count = min(panelColumns, columns.upperBound - start)
            let source = self.source(b, column: start, ks: ks)
            let place = workspace.right + (panels == .usedOnce ? 0 : (start - columns.lowerBound) * steps)
            var right = UnsafePointer(place), step = count > panelColumns / 2 ? panelColumns : panelColumns / 2
            if panels == .usedOnce && !b.isTransposed && count == panelColumns && rows < rowsWorthPacking {
                (right, step) = (source.start, b.stride)
            } else if panels != .packedBefore {
                kernels.packRight(source, count, ks.count, place)
            }
            var following = CKernels_Source()
            if next < columns.upperBound {
                following =
                    panels == .packedBefore
                    ? CKernels_Source(
                        start: place + panelColumns * steps, stride: panelColumns / stepElements, transposed: false)
                    : self.source(b, column: next, ks: ks)
            }
            kernels.multiply(
                workspace.left, right, step, rows, count, steps, accumulate, c + start, stride, following)
            epilogue.from(row: 0, column: start).apply(rows: rows, columns: count, to: c + start, stride: stride)
            start = next
        }
    }

    private func source(_ b: GEMM.Factor, column: Int, ks: Range<Int>) -> CKernels_Source {
        CKernels_Source(start: b.address(row: ks.lowerBound, column: column), stride: b.stride, transposed: b.isTransposed)
    }
}
