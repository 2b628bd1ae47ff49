import CKernels
import Foundation

extension GEMM {
    /// What computes a product.
    public enum Kernels: String, Sendable, CaseIterable {
        /// Strata's own, for processors with AVX-512F.
        case avx512
        /// Strata's own, for processors with AVX2 and FMA; the same bits as with AVX-512F.
        case avx2
        /// OpenBLAS's, whichever it has chosen for the processor.
        case openBLAS = "openblas"

        /// Those that this processor can run, the fastest first.
        public static let supported = allCases.filter { $0 == .openBLAS || $0.panels(.float32) != nil }

        /// Panels that they multiply; nil with OpenBLAS, or without the instructions.
        func panels(_ precision: Precision) -> PackedPanels? {
            switch (self, precision) {
            case (.avx512, .float32): PackedPanels.avx512
            case (.avx512, .bfloat16): PackedPanels.bfloat16AVX512
            case (.avx2, .float32): PackedPanels.avx2
            case (.avx2, .bfloat16): PackedPanels.bfloat16AVX2
            case (.openBLAS, _): nil
            }
        }
    }

    /// The environment variable that chooses kernels, for tests and comparisons.
    public static let kernelsVariable = "STRATA_KERNELS"

    /// What the program uses: what `STRATA_KERNELS` names, or the fastest.
    public static let kernels = (try? chosenKernels(by: ProcessInfo.processInfo.environment)) ?? Kernels.supported[0]

    /// The kernels that an environment asks for. Throws `KernelsError` where there are none of that name, or none for this
    /// processor.
    public static func chosenKernels(by environment: [String: String]) throws(KernelsError) -> Kernels {
        guard let name = environment[kernelsVariable], !name.isEmpty else { return Kernels.supported[0] }
        guard let kernels = Kernels(rawValue: name), Kernels.supported.contains(kernels) else {
            throw KernelsError(name: name)
        }
        return kernels
    }
}

extension GEMM.Kernels: CustomStringConvertible {
    public var description: String {
        switch self {
        case .avx512: "Strata's AVX-512 kernels"
        case .avx2: "Strata's AVX2 kernels"
        case .openBLAS: "OpenBLAS's kernels for \(OpenBLAS.coreName)"
        }
    }
}

/// Kernels that the environment names, but that there are not or that the processor can't run.
public struct KernelsError: Error, CustomStringConvertible {
    let name: String

    public var description: String {
        let names = GEMM.Kernels.supported.map(\.rawValue).formatted(.list(type: .or).locale(Locale(identifier: "en_GB")))
        let reason = GEMM.Kernels(rawValue: name) == nil ? "" : ", which this processor can't run"
        return "\(GEMM.kernelsVariable) must be \(names) on this processor, but is '\(name)'\(reason); unset it for the fastest"
    }
}
