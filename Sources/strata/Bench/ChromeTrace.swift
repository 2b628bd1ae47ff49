import Files
import Foundation
import TensorCore

/// Phases in Chrome's trace format, which Perfetto (ui.perfetto.dev) and chrome://tracing draw: a row a rank.
enum ChromeTrace {
    private struct Event: Encodable {
        let name: String
        let cat: String
        let ph = "X"
        /// Microseconds.
        let ts: Double
        let dur: Double
        let pid = 0
        let tid: Int
    }

    /// Gathers all ranks' events and writes them on the first. The ranks' clocks are aligned at a barrier.
    static func write(_ clock: PhaseClock, to path: String, _ ranks: RankWorld) throws {
        try ranks.world.barrier()
        let end = clock.now
        let events = clock.events.map { event in
            Event(
                name: "\(event.name)", cat: event.phase.rawValue, ts: (event.start - end) * 1e6, dur: event.duration * 1e6,
                tid: ranks.world.rank)
        }
        let encoded = try JSONEncoder().encode(events)
        let parts = try ranks.world.allGather(varying: [UInt8](encoded.dropFirst().dropLast()))
        guard ranks.isFirst else { return }
        let body = parts.filter { !$0.isEmpty }.map { String(decoding: $0, as: UTF8.self) }.joined(separator: ",\n")
        let text = "{\"displayTimeUnit\":\"ms\",\"traceEvents\":[\n\(body)\n]}\n"
        try FileWriter.replace(path, with: text)
    }
}
