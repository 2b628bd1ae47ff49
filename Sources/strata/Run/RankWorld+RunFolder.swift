import Collectives
import Foundation
import Reporting
import Runs
import Training

extension RankWorld {
    /// Makes sure that no other training writes the folder for as long as the result lives. A collective operation.
    func lock(_ folder: RunFolder, _ display: ProgressDisplay?) throws -> RunLock {
        let first = try together {
            try folder.create()
            return isFirst ? try RunLock(folder) { display?.note($0) } : nil
        }
        return try together { try first ?? RunLock(joining: folder) }
    }

    /// These ranks under a watchdog; nil where there is nobody to wait for, or none is wanted. A collective operation, for ranks
    /// that hold the folder's lock.
    func watched(_ folder: RunFolder, _ configuration: ParallelConfiguration) throws -> Watched? {
        guard world.size > 1, configuration.watchdogSeconds > 0 else { return nil }
        try together { if isFirst { try RankFiles.clear(folder.ranks) } }
        return try together {
            let files = try RankFiles(folder.ranks, rank: world.rank)
            let watchdog = try Watchdog(
                world, host: host, board: files,
                limits: .init(
                    report: configuration.watchdogSeconds, giveUp: configuration.watchdogAbortSeconds,
                    unreachable: configuration.unreachableAbortSeconds),
                say: { text in
                    // On a terminal the line of progress stands there.
                    let start = isatty(STDERR_FILENO) == 1 ? "\n" : ""
                    FileHandle.standardError.write(Data("\(start)strata: watchdog: \(text)\n".utf8))
                },
                giveUp: { _exit(ExitStatus.internal.rawValue) })
            return Watched(
                ranks: RankWorld(world: watchdog.world, sharing: sharing, host: host), watchdog: watchdog, files: files)
        }
    }

    /// Ranks under watch.
    struct Watched {
        let ranks: RankWorld
        fileprivate let watchdog: Watchdog
        fileprivate let files: RankFiles

        /// The ranks part in order: nobody will wait for this one.
        func end() {
            watchdog.stop()
            files.remove()
        }
    }
}
