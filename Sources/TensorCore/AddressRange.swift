import Foundation

/// Addresses for more memory than the machine has. They cost nothing before `extend`, and then what has been touched.
struct AddressRange {
    /// The first address, on a boundary of large pages.
    let start: UnsafeMutableRawPointer
    private let capacity: Int
    /// Bytes from the start that may be touched.
    private var usable = 0
    private let mapping: UnsafeMutableRawBufferPointer

    private static let largePage = 2 << 20
    /// Bytes that become usable at a time.
    private static let step = 64 << 20

    /// Where addresses are limited, or many ranges are in use, there are fewer than twice the machine's memory.
    init() {
        var capacity = 2 * Int(ProcessInfo.processInfo.physicalMemory)
        var limit = rlimit()
        if getrlimit(__rlimit_resource_t(RLIMIT_AS.rawValue), &limit) == 0, limit.rlim_cur < UInt(capacity) {
            capacity = Int(limit.rlim_cur) / 2
        }
        while capacity >= Self.step {
            let bytes = capacity + Self.largePage
            if let mapping = mmap(nil, bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0),
                mapping != MAP_FAILED
            {
                self.capacity = capacity
                self.mapping = UnsafeMutableRawBufferPointer(start: mapping, count: bytes)
                start = mapping.alignedUp(toMultipleOf: Self.largePage)
                // A product over small pages spends its time in TLB misses.
                madvise(start, capacity, MADV_HUGEPAGE)
                return
            }
            capacity /= 2
        }
        fatalError("out of memory: no addresses are left")
    }

    /// Makes the first `bytes` usable.
    mutating func extend(to bytes: Int) {
        guard bytes > usable else { return }
        let end = min(capacity, (bytes + Self.step - 1) / Self.step * Self.step)
        guard end >= bytes, mprotect(start + usable, end - usable, PROT_READ | PROT_WRITE) == 0 else {
            fatalError("out of memory: \(bytes) bytes were asked for")
        }
        usable = end
    }

    func release() { munmap(mapping.baseAddress, mapping.count) }
}
