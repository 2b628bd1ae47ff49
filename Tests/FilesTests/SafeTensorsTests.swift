import Files
import Foundation
import Testing
import _TestSupport

@Suite struct SafeTensorsTests {
    /// Passes the path of a file with these bytes, which is gone afterwards.
    @discardableResult
    private func withFile<Result>(_ bytes: Data, _ body: (String) throws -> Result) throws -> Result {
        let path = FileManager.default.temporaryDirectory.appendingPathComponent("\(UUID()).safetensors")
        try bytes.write(to: path)
        defer { try? FileManager.default.removeItem(at: path) }
        return try body(path.path)
    }

    private func file(header: String, data: Int = 0) -> Data {
        var bytes = withUnsafeBytes(of: UInt64(header.utf8.count).littleEndian) { Data($0) }
        bytes.append(contentsOf: header.utf8)
        bytes.append(Data(repeating: 0, count: data))
        return bytes
    }

    private func sample() throws -> Data {
        let a: [Float] = [1, -2, 3.5, 0, .infinity, 6], b: [Float] = [7]
        var bytes = Data()
        try a.withUnsafeBufferPointer { a in
            try b.withUnsafeBufferPointer { b in
                try SafeTensorsWriter.write(
                    [
                        .init(name: "a/b.weight", shape: [2, 3], values: a), .init(name: "scalar", shape: [], values: b),
                        .init(name: "empty", shape: [0, 4], values: .init(rebasing: a[0..<0])),
                    ],
                    metadata: ["format": "strata", "ü": "\"quoted\""]
                ) { bytes.append(contentsOf: $0) }
            }
        }
        return bytes
    }

    /// Opens the file and reads everything in it: memory outside the file would show as a crash.
    private func readAll(_ path: String) throws {
        let file = try SafeTensorsFile(path: path)
        for (name, entry) in file.entries {
            var bytes = [UInt8](repeating: 0, count: entry.bytes.count)
            try bytes.withUnsafeMutableBytes { try file.read(entry, into: $0) }
            if let floats = file.floats(name) { #expect(floats.count == entry.count) }
            if let integers = file.integers(name) { #expect(integers.count == entry.count) }
        }
    }

    @Test func whatIsWrittenIsRead() throws {
        try withFile(sample()) { path in
            let file = try SafeTensorsFile(path: path)
            #expect(file.metadata == ["format": "strata", "ü": "\"quoted\""])
            #expect(Set(file.entries.keys) == ["a/b.weight", "scalar", "empty"])
            #expect(file.entries["a/b.weight"]?.shape == [2, 3] && file.entries["a/b.weight"]?.type == .float32)
            #expect(file.floats("a/b.weight") == [1, -2, 3.5, 0, .infinity, 6])
            #expect(file.floats("scalar") == [7] && file.entries["scalar"]?.count == 1)
            #expect(file.floats("empty") == [] && file.integers("a/b.weight") == nil && file.floats("none") == nil)
        }
    }

    @Test func theDataIsAligned() throws {
        let bytes = try sample()
        let length = bytes.withUnsafeBytes { $0.loadUnaligned(as: UInt64.self) }
        #expect(length % 8 == 0)
        #expect(bytes.count == 8 + Int(length) + 28)
    }

    @Test func otherTypesAreRead() throws {
        let header =
            #"{"i":{"dtype":"I32","shape":[2],"data_offsets":[0,8]},"l":{"dtype":"I64","shape":[1],"data_offsets":[8,16]}}"#
        try withFile(file(header: header, data: 16)) { path in
            let file = try SafeTensorsFile(path: path)
            #expect(file.integers("i") == [0, 0] && file.floats("i") == nil && file.entries["l"]?.type == .int64)
        }
    }

    @Test func aTruncatedFileIsRefused() throws {
        let bytes = try sample()
        for count in 0..<bytes.count {
            try withFile(bytes.prefix(count)) { path in
                #expect(throws: SafeTensors.FormatError.self, "\(count) of \(bytes.count) bytes") { try readAll(path) }
            }
        }
    }

    @Test(arguments: [
        #"[]"#, #"3"#, #""#, #"{"#, #"{"a":1}"#, #"{"a":{}}"#, #"{"a":null}"#, #"{"__metadata__":{"a":1}}"#,
        #"{"a":{"dtype":"F32","shape":[-1],"data_offsets":[0,4]}}"#,
        #"{"a":{"dtype":"F32","shape":[-1,-1],"data_offsets":[0,4]}}"#,
        #"{"a":{"dtype":"F32","shape":[1],"data_offsets":[-4,0]}}"#,
        #"{"a":{"dtype":"F32","shape":[1],"data_offsets":[4,0]}}"#,
        #"{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4,8]}}"#,
        #"{"a":{"dtype":"F32","shape":[1],"data_offsets":[6,10]}}"#,
        #"{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,4]}}"#,
        #"{"a":{"dtype":"BF16","shape":[2],"data_offsets":[0,4]}}"#,
        #"{"a":{"dtype":"F32","shape":[4611686018427387904,4],"data_offsets":[0,0]}}"#,
        #"{"a":{"dtype":"F32","shape":[4294967296,4294967296],"data_offsets":[0,0]}}"#,
        #"{"a":{"dtype":"F32","shape":[99999999999999999999],"data_offsets":[0,4]}}"#,
        #"{"a":{"dtype":"F32","shape":[1e999],"data_offsets":[0,4]}}"#,
        #"{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,1e999]}}"#,
        #"{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,9223372036854775807]}}"#,
        #"{"a":{"dtype":"F32","shape":[1],"data_offsets":[-9223372036854775808,9223372036854775807]}}"#,
        #"{"a":{"dtype":"F32","shape":[0.5],"data_offsets":[0,2]}}"#,
        #"{"a":{"dtype":"F32","shape":["1"],"data_offsets":[0,4]}}"#,
        #"{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}"#,
        // A gap, an overlap, bytes that are no tensor's, a name that stands twice.
        #"{"a":{"dtype":"F32","shape":[1],"data_offsets":[4,8]}}"#,
        #"{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},"b":{"dtype":"F32","shape":[1],"data_offsets":[4,8]}}"#,
        #"{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}"#,
        #"{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},"a":{"dtype":"F32","shape":[1],"data_offsets":[4,8]}}"#,
    ]) func anUnsoundHeaderIsRefused(header: String) throws {
        try withFile(file(header: header, data: 8)) { path in
            #expect(throws: SafeTensors.FormatError.self) { try readAll(path) }
        }
    }

    @Test func theErrorNamesFileAndReason() throws {
        try withFile(file(header: #"{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,4]}}"#, data: 4)) { path in
            let error = #expect(throws: SafeTensors.FormatError.self) { try readAll(path) }
            #expect(error?.path == path)
            #expect(error?.description.contains("a of shape [2] needs 8 bytes, but has 4") == true)
        }
    }

    @Test func deepNestingIsRefused() throws {
        let header = "{\"a\":" + String(repeating: "[", count: 100_000)
        try withFile(file(header: header)) { path in
            #expect(throws: SafeTensors.FormatError.self) { try readAll(path) }
        }
    }

    @Test func hugeHeaderLengthsAreRefused() throws {
        for length in [UInt64.max, 1 << 63, 1 << 62, UInt64(Int.max), 1 << 32] {
            var bytes = try sample()
            withUnsafeBytes(of: length.littleEndian) { bytes.replaceSubrange(0..<8, with: $0) }
            try withFile(bytes) { path in
                #expect(throws: SafeTensors.FormatError.self) { try readAll(path) }
            }
        }
    }

    /// Any change of the header gives a typed error or a file whose tensors lie within it.
    @Test func changedHeadersNeverLeadOutOfTheFile() throws {
        let bytes = try sample(), header = 8 + Int(bytes.withUnsafeBytes { $0.loadUnaligned(as: UInt64.self) })
        var state: UInt64 = 1
        func random(_ bound: Int) -> Int {
            state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
            return Int(state >> 33) % bound
        }
        let interesting = Array("0123456789-+.eE[]{},:\"\\ ".utf8)
        var accepted = 0
        for _ in 0..<1500 {
            var changed = bytes
            for _ in 0..<1 + random(3) {
                let place = random(header)
                changed[place] = random(4) == 0 ? UInt8(random(256)) : interesting[random(interesting.count)]
            }
            try withFile(changed) { path in
                do {
                    try readAll(path)
                    accepted += 1
                } catch is SafeTensors.FormatError {}
            }
        }
        #expect(accepted > 0)
    }

    @Test func aMissingFileIsAnErrorOfItsOwn() {
        #expect(throws: (any Error).self) { try SafeTensorsFile(path: "/nonexistent/model.safetensors") }
    }
}
