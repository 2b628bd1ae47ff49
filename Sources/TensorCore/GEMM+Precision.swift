import Foundation

extension GEMM {
    /// What the factors of products are rounded to; their sums, and all else, are 32-bit floats.
    public enum Precision: String, CaseIterable, Sendable {
        case float32
        /// The upper half of a float: its range, with 8 significant bits. A processor with AVX512_BF16 multiplies twice as many.
        case bfloat16
    }

    /// Refuses to train in a precision that the processor has no instructions for. AVX2 gives the same bits as AVX512_BF16, but
    /// slower than floats: only where the environment names it, for a check.
    ///
    /// - Throws: `PrecisionError`.
    public static func checkTraining(
        in precision: Precision, using kernels: Kernels = kernels,
        environment: [String: String] = ProcessInfo.processInfo.environment
    ) throws(PrecisionError) {
        guard precision == .bfloat16 else { return }
        let isForChecking = environment[kernelsVariable] == Kernels.avx2.rawValue
        guard kernels.panels(.bfloat16) != nil, kernels != .avx2 || isForChecking else {
            throw PrecisionError(kernels: kernels)
        }
    }
}

/// A precision of training that the processor, or the kernels chosen, would not make faster.
public struct PrecisionError: Error, CustomStringConvertible {
    let kernels: GEMM.Kernels

    public var description: String {
        let reason =
            kernels == .openBLAS
            ? "\(kernels) multiply floats alone"
            : "this processor lacks its instructions (AVX512_BF16), and would be slower than with floats"
        return "model.compute is bfloat16, but \(reason): take float32, or, to check a run at whatever speed, set "
            + "\(GEMM.kernelsVariable)=avx2, which gives the same bits as the instructions"
    }
}
