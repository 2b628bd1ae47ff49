import Collectives
import Files
import Foundation
import TensorCore

/// Phases in Chrome's trace format, which Perfetto (ui.perfetto.dev) and chrome://tracing draw: a row a rank.
public enum ChromeTrace {
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
    ///
    /// - Throws: `FileError` on the first rank.
    public static func write(_ clock: PhaseClock, to path: String, _ world: any Communicator) throws {
        try world.barrier()
        let end = clock.now
        let events = clock.events.map { event in
            Event(
                name: "\(event.name)", cat: event.phase.rawValue, ts: (event.start - end) * 1e6, dur: event.duration * 1e6,
                tid: world.rank)
        }
        let encoded = try JSONEncoder().encode(events)
        let parts = try world.allGather(varying: [UInt8](encoded.dropFirst().dropLast()))
        guard world.rank == 0 else { return }
        let body = parts.filter { !$0.isEmpty }.map { String(decoding: $0, as: UTF8.self) }.joined(separator: ",\n")
        let text = "{\"displayTimeUnit\":\"ms\",\"traceEvents\":[\n\(body)\n]}\n"
        try FileWriter.replace(path, with: text)
    }
}
