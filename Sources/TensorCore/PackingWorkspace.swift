import CKernels
import Synchronization

/// Memory for packed panels: as many workspaces as products were ever under way at once, which are kept.
struct PackingWorkspace {
    /// A block of the left factor.
    var left: UnsafeMutablePointer<Float> { storage.pointer }
    /// A band of the right factor.
    var right: UnsafeMutablePointer<Float> { storage.pointer + Self.leftCapacity }

    private let storage: TensorStorage

    /// Floats for the left factor: a multiple of 16, so that both parts begin at a cache line.
    private static let leftCapacity =
        (PackedPanels.largestBlockRows * PackedPanels.depth + Int(CKernels_leftSlack) + 15) / 16 * 16
    private static let rightCapacity = PackedPanels.bandColumns * PackedPanels.depth
    private static let allocator = TensorAllocator()
    private static let idle = Mutex<[TensorStorage]>([])

    static func take() -> PackingWorkspace {
        PackingWorkspace(storage: idle.withLock { $0.popLast() } ?? allocator.allocate(leftCapacity + rightCapacity))
    }

    static func giveBack(_ workspace: PackingWorkspace) {
        idle.withLock { $0.append(workspace.storage) }
    }
}
