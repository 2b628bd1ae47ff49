import CKernels

/// A weight [outputs, inputs] laid out for inference: packed once, and multiplied by few rows or by many without further
/// arrangements.
///
/// An element of a product is one chain of fused multiplications and additions over ascending inputs: its bits depend on its
/// row and its column alone, not on what else is in the batch, on threads or on the processor.
public final class PackedWeights: Sendable {
    public let outputs: Int
    public let inputs: Int
    private let panels: Tensor
    /// Columns of a panel.
    private static let panelColumns = Int(CKernels_weightColumns)
    /// Rows that are worth a part of their own: with fewer, weights are read more often than they are used.
    private static let rowsOfPart = 48

    /// Copies `weights` [outputs, inputs].
    public init(_ context: ComputeContext, _ weights: Tensor) {
        (outputs, inputs) = (weights.rows, weights.columns)
        let padded = (outputs + Self.panelColumns - 1) / Self.panelColumns * Self.panelColumns
        panels = context.uninitialized(padded, inputs)
        SmallProduct.packTransposed(
            weights.pointer, rows: outputs, columns: inputs, stride: inputs, into: panels.pointer)
    }

    /// out [rows, columns] ← x [rows, inputs] · wᵀ with `epilogue`, on the calling thread. `columns` are outputs, and begin where
    /// a panel does; rows of `x` and `out` are `stride` and `outStride` apart.
    func multiply(
        _ x: UnsafePointer<Float>, stride: Int, rows: Int, columns: Range<Int>, epilogue: GEMM.Epilogue = .none,
        into out: UnsafeMutablePointer<Float>, outStride: Int
    ) {
        precondition(columns.lowerBound % Self.panelColumns == 0 && columns.upperBound <= outputs)
        let (bias, isRectified) = epilogue.biasAndRectifier
        CKernels_multiplyWeights(
            x, stride, rows, panels.pointer + columns.lowerBound * inputs, inputs, columns.count,
            bias.map { $0 + columns.lowerBound }, isRectified, out, outStride)
    }

    /// out [rows, outputs] ← x [rows, inputs] · wᵀ with `epilogue`, on the calling thread. Neither has gaps.
    public func multiply(
        _ x: UnsafePointer<Float>, rows: Int, epilogue: GEMM.Epilogue = .none, into out: UnsafeMutablePointer<Float>
    ) {
        multiply(x, stride: inputs, rows: rows, columns: 0..<outputs, epilogue: epilogue, into: out, outStride: outputs)
    }

    /// out [T, outputs] ← x [T, inputs] · wᵀ with `epilogue`.
    public func multiply(_ context: ComputeContext, x: Tensor, epilogue: GEMM.Epilogue = .none, into out: Tensor) {
        precondition(x.columns == inputs && out.rows == x.rows && out.columns == outputs)
        let threads = context.pool.threads, (xp, op) = (UnsafePointer(x.pointer), out.pointer)
        defer { withExtendedLifetime((x, out)) {} }
        if threads == 1 || x.rows >= threads * Self.rowsOfPart {
            let parts = threads == 1 ? 1 : x.rows / Self.rowsOfPart
            context.pool.parallelFor(parts) { part in
                let rows = part * x.rows / parts..<(part + 1) * x.rows / parts
                multiply(
                    xp + rows.lowerBound * inputs, rows: rows.count, epilogue: epilogue, into: op + rows.lowerBound * outputs)
            }
        } else {
            let panels = (outputs + Self.panelColumns - 1) / Self.panelColumns, parts = min(panels, 2 * threads)
            context.pool.parallelFor(parts) { part in
                let begin = part * panels / parts * Self.panelColumns
                let end = min(outputs, (part + 1) * panels / parts * Self.panelColumns)
                multiply(
                    xp, stride: inputs, rows: x.rows, columns: begin..<end, epilogue: epilogue, into: op + begin,
                    outStride: outputs)
            }
        }
    }
}

extension GEMM.Epilogue {
    /// What products of inference can do.
    fileprivate var biasAndRectifier: (bias: UnsafePointer<Float>?, isRectified: Bool) {
        switch self {
        case .none: (nil, false)
        case .bias(let bias): (bias, false)
        case .rectifiedBias(let bias): (bias, true)
        case .rectifierGradient: preconditionFailure("packed weights have no way back")
        }
    }
}
