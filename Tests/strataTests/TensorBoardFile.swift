import Foundation
import Testing

@testable import strata

/// A reader of event files, written from the formats' descriptions and not from the writer.
struct TensorBoardFile {
    struct Event {
        var wallTime = 0.0
        var step = 0
        var fileVersion: String?
        var isSessionStart = false
        var scalars: [String: Float] = [:]
        /// Bucket limits and amounts.
        var histograms: [String: (limits: [Double], amounts: [Double])] = [:]
    }

    let events: [Event]

    /// Every check is compared, bit by bit, without the writer's table.
    init(_ data: Data) throws {
        var bytes = [UInt8](data)[...], events: [Event] = []
        while !bytes.isEmpty {
            let header = Array(bytes.prefix(8)), length = Int(Self.number(header))
            try #require(bytes.count >= 16 + length, "a record must be whole")
            try #require(Self.number(bytes.dropFirst(8).prefix(4)) == UInt64(Self.maskedCheck(header)))
            let content = Array(bytes.dropFirst(12).prefix(length))
            try #require(Self.number(bytes.dropFirst(12 + length).prefix(4)) == UInt64(Self.maskedCheck(content)))
            bytes = bytes.dropFirst(16 + length)
            events.append(try Self.event(content))
        }
        self.events = events
    }

    static func check(_ bytes: [UInt8]) -> UInt32 {
        var crc = ~UInt32(0)
        for byte in bytes {
            for bit in 0..<8 {
                let isOdd = (crc ^ UInt32(byte) >> bit) & 1 == 1
                crc = crc >> 1 ^ (isOdd ? 0x82F6_3B78 : 0)
            }
        }
        return ~crc
    }

    private static func maskedCheck(_ bytes: [UInt8]) -> UInt32 {
        let crc = check(bytes)
        return (crc >> 15 | crc << 17) &+ 0xA282_EAD8
    }

    private static func number(_ bytes: some Collection<UInt8>) -> UInt64 {
        bytes.reversed().reduce(0) { $0 << 8 | UInt64($1) }
    }

    private enum Field {
        case integer(UInt64)
        case bytes([UInt8])

        var text: String { if case let .bytes(bytes) = self { String(decoding: bytes, as: UTF8.self) } else { "" } }
        var content: [UInt8] { if case let .bytes(bytes) = self { bytes } else { [] } }
        var integer: UInt64 { if case let .integer(value) = self { value } else { 0 } }
        var double: Double { Double(bitPattern: TensorBoardFile.number(content)) }
        var float: Float { Float(bitPattern: UInt32(TensorBoardFile.number(content))) }
        var doubles: [Double] {
            stride(from: 0, to: content.count, by: 8).map {
                Double(bitPattern: TensorBoardFile.number(content[$0..<$0 + 8]))
            }
        }
    }

    private static func fields(_ message: [UInt8]) throws -> [(number: Int, field: Field)] {
        var rest = message[...], fields: [(number: Int, field: Field)] = []
        func variable() throws -> UInt64 {
            var value: UInt64 = 0, shift: UInt64 = 0
            while true {
                let next = rest.popFirst(), byte = try #require(next)
                value |= UInt64(byte & 0x7F) << shift
                if byte < 0x80 { return value }
                shift += 7
            }
        }
        func bytes(_ count: Int) throws -> Field {
            try #require(rest.count >= count)
            defer { rest = rest.dropFirst(count) }
            return .bytes(Array(rest.prefix(count)))
        }
        while !rest.isEmpty {
            let key = try variable(), number = Int(key >> 3)
            switch key & 7 {
            case 0: fields.append((number, .integer(try variable())))
            case 1: fields.append((number, try bytes(8)))
            case 2: fields.append((number, try bytes(Int(try variable()))))
            case 5: fields.append((number, try bytes(4)))
            case let wireType: Issue.record("wire type \(wireType)")
            }
        }
        return fields
    }

    private static func event(_ message: [UInt8]) throws -> Event {
        var event = Event()
        for (number, field) in try fields(message) {
            switch number {
            case 1: event.wallTime = field.double
            case 2: event.step = Int(field.integer)
            case 3: event.fileVersion = field.text
            case 5: for (number, value) in try fields(field.content) where number == 1 { try add(value.content, to: &event) }
            case 7: event.isSessionStart = try fields(field.content).contains { $0.number == 1 && $0.field.integer == 1 }
            default: Issue.record("field \(number) of an event")
            }
        }
        return event
    }

    private static func add(_ value: [UInt8], to event: inout Event) throws {
        var tag = ""
        for (number, field) in try fields(value) {
            switch number {
            case 1: tag = field.text
            case 2: event.scalars[tag] = field.float
            case 5:
                let parts = try fields(field.content)
                event.histograms[tag] = (
                    parts.first { $0.number == 6 }?.field.doubles ?? [], parts.first { $0.number == 7 }?.field.doubles ?? []
                )
            default: Issue.record("field \(number) of a value")
            }
        }
    }
}
