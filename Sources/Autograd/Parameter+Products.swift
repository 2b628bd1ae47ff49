import TensorCore

/// Products with a weight w [out, in], packed or not.
extension Parameter {
    /// y [T, out] ← x [T, in] · wᵀ with `epilogue`.
    public func multiply(_ context: ComputeContext, x: Tensor, epilogue: GEMM.Epilogue = .none, into y: Tensor) {
        if let packed {
            packed.multiply(context, x: x, epilogue: epilogue, into: y)
        } else {
            MatrixProduct.forward(context, x: x, w: value, epilogue: epilogue, into: y)
        }
    }

    /// y [rows, out] ← x [rows, in] · wᵀ with `epilogue`, on the calling thread.
    public func multiply(
        _ x: UnsafePointer<Float>, rows: Int, epilogue: GEMM.Epilogue = .none, into y: UnsafeMutablePointer<Float>
    ) {
        if let packed {
            packed.multiply(x, rows: rows, epilogue: epilogue, into: y)
        } else {
            GEMM.multiply(
                m: rows, n: self.rows, k: columns, GEMM.Factor(x, stride: columns),
                GEMM.Factor(value.pointer, stride: columns, transposed: true), epilogue: epilogue, into: y, stride: self.rows)
        }
    }
}
