import CKernels

/// A weight [outputs, inputs] laid out for inference: packed once, and multiplied by few rows or by many without further
/// arrangements.
///
/// In 32 bits an element of a product is one chain of fused multiplications and additions over ascending inputs; in 8 bits an
/// exact sum of integers, scaled. Its bits depend on its row and its column alone, not on what else is in the batch, on threads or
/// on the processor.
public final class PackedWeights: Sendable {
    /// What is multiplied.
    public enum Precision: String, CaseIterable, Sendable {
        case float32
        /// Integers of 7 bits, with a scale for each row of weights, times integers of 8 bits, with a scale for each row of x,
        /// which is found as rows come.
        case int8
    }

    public let outputs: Int
    public let inputs: Int
    public let precision: Precision
    private let panels: Tensor
    /// In 8 bits: the scale of each output, and the sum of its integers.
    private let scales: Tensor?
    private let sums: [Int32]
    /// Columns of a panel.
    private static let panelColumns = Int(CKernels_weightColumns)
    /// Rows that are worth a part of their own: with fewer, weights are read more often than they are used.
    private static let rowsOfPart = 48
    private static let group = Int(CKernels_quantizedGroup)
    /// The largest integer of a weight: two products with bytes fit 16 bits.
    private static let weightBound: Int32 = 63

    /// Packs `weights` [outputs, inputs]: `overwriting` them where that is as much memory, so that both are never there at once, or as
    /// a copy.
    public init(_ context: ComputeContext, _ weights: Tensor, precision: Precision = .float32, overwriting: Bool = false) {
        (outputs, inputs, self.precision) = (weights.rows, weights.columns, precision)
        let padded = (outputs + Self.panelColumns - 1) / Self.panelColumns * Self.panelColumns
        switch precision {
        case .float32:
            (scales, sums) = (nil, [])
            let isInPlace = overwriting && padded == outputs, source = isInPlace ? context.copy(weights) : weights
            panels = isInPlace ? weights : context.uninitialized(padded, inputs)
            SmallProduct.packTransposed(
                source.pointer, rows: outputs, columns: inputs, stride: inputs, into: panels.pointer)
            withExtendedLifetime(source) {}
        case .int8:
            let scales = context.zeros(1, padded), width = (inputs + Self.group - 1) / Self.group * Self.group
            panels = context.zeros(padded, width / Self.group)
            var sums = [Int32](repeating: 0, count: padded), row = [Int8](repeating: 0, count: width)
            let bytes = UnsafeMutableRawPointer(panels.pointer).assumingMemoryBound(to: Int8.self)
            for output in 0..<outputs {
                scales[0, output] = CKernels_quantizeRow(weights.row(output), inputs, width, Self.weightBound, &row)
                sums[output] = row.reduce(0) { $0 + Int32($1) }
                let panel = bytes + output / Self.panelColumns * Self.panelColumns * width
                for input in 0..<width {
                    let place = input / Self.group * Self.panelColumns + output % Self.panelColumns
                    panel[place * Self.group + input % Self.group] = row[input]
                }
            }
            (self.scales, self.sums) = (scales, sums)
        }
    }

    /// Inputs as products read them.
    struct Rows {
        fileprivate let values: UnsafePointer<Float>
        fileprivate let stride: Int
        /// In 8 bits: unsigned integers, and the scale of each row.
        fileprivate let quantized: UnsafePointer<Int8>?
        fileprivate let scales: UnsafePointer<Float>?
    }

    private var width: Int { (inputs + Self.group - 1) / Self.group * Self.group }

    /// Calls `body` with `count` rows of `x`, `stride` apart, as products read them.
    func withRows(_ x: UnsafePointer<Float>, stride: Int, count: Int, _ body: (Rows) -> Void) {
        guard precision == .int8 else { return body(Rows(values: x, stride: stride, quantized: nil, scales: nil)) }
        withUnsafeTemporaryAllocation(of: Int8.self, capacity: max(count * width, 1)) { bytes in
            withUnsafeTemporaryAllocation(of: Float.self, capacity: max(count, 1)) { scales in
                guard let first = bytes.baseAddress, let scale = scales.baseAddress else { return }
                for row in 0..<count {
                    scale[row] = CKernels_quantizeRow(x + row * stride, inputs, width, 127, first + row * width)
                }
                CKernels_makeUnsigned(first, count * width)
                body(Rows(values: x, stride: stride, quantized: first, scales: scale))
            }
        }
    }

    /// out [count, columns] ← rows first ..< first + count of x [rows, inputs] · wᵀ with `epilogue`, on the calling thread. `columns`
    /// are outputs, and begin where a panel does; rows of `out` are `outStride` apart.
    func multiply(
        _ x: Rows, first: Int = 0, count: Int, columns: Range<Int>, epilogue: GEMM.Epilogue = .none,
        into out: UnsafeMutablePointer<Float>, outStride: Int
    ) {
        precondition(columns.lowerBound % Self.panelColumns == 0 && columns.upperBound <= outputs)
        let (bias, isRectified) = epilogue.biasAndRectifier, columnBias = bias.map { $0 + columns.lowerBound }
        guard let quantized = x.quantized, let rowScales = x.scales, let scales else {
            return CKernels_multiplyWeights(
                x.values + first * x.stride, x.stride, count, panels.pointer + columns.lowerBound * inputs, inputs,
                columns.count,
                columnBias, isRectified, out, outStride)
        }
        sums.withUnsafeBufferPointer { sums in
            let bytes = UnsafeRawPointer(panels.pointer).assumingMemoryBound(to: Int8.self)
            let weights = CKernels_QuantizedWeights(
                panels: bytes + columns.lowerBound * width, scales: scales.pointer + columns.lowerBound,
                sums: sums.baseAddress! + columns.lowerBound, k: width)
            CKernels_multiplyQuantized(
                quantized + first * width, rowScales + first, count, weights, columns.count, columnBias, isRectified, out,
                outStride)
        }
    }

    /// out [rows, outputs] ← x [rows, inputs] · wᵀ with `epilogue`, on the calling thread. Neither has gaps.
    public func multiply(
        _ x: UnsafePointer<Float>, rows: Int, epilogue: GEMM.Epilogue = .none, into out: UnsafeMutablePointer<Float>
    ) {
        guard outputs > 0 else { return }
        withRows(x, stride: inputs, count: rows) {
            multiply($0, count: rows, columns: 0..<outputs, epilogue: epilogue, into: out, outStride: outputs)
        }
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
            withRows(xp, stride: inputs, count: x.rows) { rows in
                context.pool.parallelFor(parts) { part in
                    let begin = part * panels / parts * Self.panelColumns
                    let end = min(outputs, (part + 1) * panels / parts * Self.panelColumns)
                    multiply(
                        rows, count: x.rows, columns: begin..<end, epilogue: epilogue, into: op + begin, outStride: outputs)
                }
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
