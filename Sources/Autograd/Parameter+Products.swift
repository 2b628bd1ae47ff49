import TensorCore

/// Products with a weight w [out, in], packed or not, and with what its gradient is made of, in the weight's precision.
extension Parameter {
    /// y [T, out] ← x [T, in] · wᵀ with `epilogue`.
    public func multiply(_ context: ComputeContext, x: Tensor, epilogue: GEMM.Epilogue = .none, into y: Tensor) {
        if let packed {
            packed.multiply(context, x: x, epilogue: epilogue, into: y)
        } else {
            MatrixProduct.forward(context, precision: precision, x: x, w: value, epilogue: epilogue, into: y)
        }
    }

    /// dx [T, in] ← dy [T, out] · w, or added to dx if `accumulate`; with `epilogue`.
    public func backwardInput(
        _ context: ComputeContext, dy: Tensor, accumulate: Bool = false, epilogue: GEMM.Epilogue = .none, into dx: Tensor
    ) {
        MatrixProduct.backwardInput(
            context, precision: precision, dy: dy, w: value, accumulate: accumulate, epilogue: epilogue, into: dx)
    }

    /// gradient [out, in] += dyᵀ · x, dy [T, out], x [T, in]; nothing of a weight that is not trained.
    public func backwardWeight(_ context: ComputeContext, dy: Tensor, x: Tensor) {
        guard isTrained else { return }
        MatrixProduct.backwardWeight(context, precision: precision, dy: dy, x: x, into: gradient)
    }

    /// y [rows, out] ← x [rows, in] · wᵀ with `epilogue`, on the calling thread.
    public func multiply(
        _ x: UnsafePointer<Float>, rows: Int, epilogue: GEMM.Epilogue = .none, into y: UnsafeMutablePointer<Float>
    ) {
        if let packed {
            packed.multiply(x, rows: rows, epilogue: epilogue, into: y)
        } else {
            GEMM.multiply(
                precision: precision, m: rows, n: self.rows, k: columns, GEMM.Factor(x, stride: columns),
                GEMM.Factor(value.pointer, stride: columns, transposed: true), epilogue: epilogue, into: y, stride: self.rows)
        }
    }

    /// dx [rows, in] ← dy [rows, out] · w with `epilogue`, on the calling thread.
    public func backwardInput(
        _ dy: UnsafePointer<Float>, rows: Int, epilogue: GEMM.Epilogue = .none, into dx: UnsafeMutablePointer<Float>
    ) {
        GEMM.multiply(
            precision: precision, m: rows, n: columns, k: self.rows, GEMM.Factor(dy, stride: self.rows),
            GEMM.Factor(value.pointer, stride: columns), epilogue: epilogue, into: dx, stride: columns)
    }
}
