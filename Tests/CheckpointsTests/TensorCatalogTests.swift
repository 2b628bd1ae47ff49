import Files
import Foundation
import Testing
import _TestSupport

@testable import Checkpoints

/// Every element of every tensor once, or a typed error.
@Suite struct TensorCatalogTests {
    private let folder = TemporaryFolder()

    private func file(_ name: String, _ tensors: [(String, [Int], piece: String?)]) throws -> SafeTensorsFile {
        let values = (0..<64).map(Float.init), path = "\(folder.path)/\(name)"
        let writer = try FileWriter(path: path)
        try values.withUnsafeBufferPointer { buffer in
            try SafeTensorsWriter.write(
                tensors.map { name, shape, _ in
                    .init(name: name, shape: shape, values: UnsafeBufferPointer(rebasing: buffer[..<shape.reduce(1, *)]))
                },
                metadata: Dictionary(uniqueKeysWithValues: tensors.compactMap { tensor in tensor.piece.map { (tensor.0, $0) } })
            ) { try writer.write($0) }
        }
        _ = try writer.finish()
        return try SafeTensorsFile(path: path)
    }

    private func piece(_ begin: Int, _ shape: [Int]) -> String { TensorPiece(begin: begin, shape: shape).text }

    @Test func piecesOfSeveralFilesAreOneTensor() throws {
        let files = [
            try file("a", [("t", [3], piece(7, [2, 5])), ("whole", [2, 2], nil)]),
            try file("b", [("t", [5], piece(0, [2, 5]))]),
            try file("c", [("t", [2], piece(5, [2, 5])), ("empty", [0], nil)]),
        ]
        let catalog = try TensorCatalog(files) { throw $0 }
        #expect(catalog.names == ["empty", "t", "whole"])
        #expect(catalog.shape("t") == [2, 5] && catalog.shape("whole") == [2, 2] && catalog.shape("none") == nil)
        let expected: [Float] = [0, 1, 2, 3, 4, 0, 1, 0, 1, 2]
        for lower in 0...10 {
            for upper in lower...10 {
                var read = [Float](repeating: -1, count: 12)
                try read.withUnsafeMutableBufferPointer { try catalog.read("t", lower..<upper, into: $0.baseAddress! + 1) }
                #expect(read == [-1] + expected[lower..<upper] + Array(repeating: -1, count: 11 - (upper - lower)))
            }
        }
    }

    @Test func whatIsNotThereOnceIsRefused() throws {
        let cases: [(String, [[(String, [Int], piece: String?)]], String)] = [
            ("twice", [[("t", [4], nil)], [("t", [4], nil)]], "must have each element once"),
            ("shapes", [[("t", [4], nil)], [("t", [2], nil)]], "must have one shape"),
            ("gap", [[("t", [2], piece(0, [4]))], [("t", [1], piece(3, [4]))]], "must have each element once"),
            ("begin", [[("t", [2], piece(2, [4]))]], "must have each element once"),
            ("end", [[("t", [2], piece(0, [4]))]], "must have each element once"),
            ("overlap", [[("t", [3], piece(0, [4]))], [("t", [3], piece(1, [4]))]], "must have each element once"),
            ("both", [[("t", [4], nil)], [("t", [4], piece(0, [4]))]], "must have each element once"),
            ("beyond", [[("t", [3], piece(2, [4]))]], "must be a piece that lies within its tensor"),
            ("negative", [[("t", [3], piece(-1, [4]))]], "must be a piece that lies within its tensor"),
            ("overflow", [[("t", [3], piece(1, [Int.max, 4]))]], "must be a piece that lies within its tensor"),
            ("matrix", [[("t", [2, 2], piece(0, [4]))]], "must be a piece that lies within its tensor"),
            ("text", [[("t", [4], "0 to 4")]], "must be a piece that lies within its tensor"),
        ]
        for (name, contents, expected) in cases {
            let files = try contents.enumerated().map { try file("\(name)-\($0)", $1) }
            let error = #expect(throws: CheckpointError.self) { try TensorCatalog(files) { throw $0 } }
            #expect(error?.description.contains(expected) == true, "\(name): \(String(describing: error))")
        }
    }

    /// All of them are named, and the others can be read.
    @Test func reportingDoesNotStopAtTheFirst() throws {
        var found: [CheckpointError] = []
        let files = [
            try file("a", [("s", [2], piece(0, [4])), ("t", [4], nil), ("u", [2], nil)]), try file("b", [("t", [4], nil)]),
        ]
        #expect(try TensorCatalog(files) { found.append($0) }.names == ["u"])
        #expect(found.count == 2)
    }
}
