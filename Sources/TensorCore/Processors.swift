import Foundation

/// The processors that this process may run on. `mpirun` binds ranks, so they can be fewer than the machine has; Foundation's
/// `activeProcessorCount` does not look at that.
public enum Processors {
    public static var available: Int { count(in: allowed) ?? ProcessInfo.processInfo.activeProcessorCount }

    /// Which they are, as the kernel writes them: `0-3,8`. Empty where it does not say.
    public static var allowed: Substring { ProcessStatus.field("Cpus_allowed_list") ?? "" }

    /// How many a list such as `0-3,8` names: 5. Nil if it is none.
    static func count(in list: Substring) -> Int? {
        var total = 0
        for part in list.split(separator: ",", omittingEmptySubsequences: false) {
            let bounds = part.split(separator: "-", omittingEmptySubsequences: false).map { Int($0) }
            guard let first = bounds.first ?? nil, let last = bounds.last ?? nil, first <= last, bounds.count <= 2 else {
                return nil
            }
            total += last - first + 1
        }
        return total
    }
}
