import COpenBLAS

/// What the linked OpenBLAS says of itself.
public enum BLASInformation {
    /// Version and build options, such as `OpenBLAS 0.3.26 DYNAMIC_ARCH NO_AFFINITY SkylakeX MAX_THREADS=64`.
    public static var configuration: String { openblas_get_config().map { String(cString: $0) } ?? "" }

    /// The processor whose kernels it has chosen, such as `Haswell` (AVX2) or `SkylakeX` (AVX-512).
    public static var coreName: String { openblas_get_corename().map { String(cString: $0) } ?? "" }
}
