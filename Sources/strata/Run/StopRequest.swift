import Foundation
import Synchronization

/// Signals that ask a training run to write a checkpoint and end: SIGTERM, SIGUSR1 (as cluster schedulers send before a
/// time limit) and SIGINT; a second SIGINT ends it at once.
enum StopRequest {
    private static let requested = Atomic<Bool>(false)

    static var isMade: Bool { requested.load(ordering: .relaxed) }

    static func listen() {
        for number in [SIGTERM, SIGUSR1, SIGINT] {
            signal(number) { number in
                StopRequest.requested.store(true, ordering: .relaxed)
                if number == SIGINT { signal(SIGINT, SIG_DFL) }
            }
        }
    }
}
