import Autograd
import Foundation
import TensorCore

/// A committed checkpoint, verified and open: any rank of any world reads from it what it needs.
public final class CheckpointReader {
    public let path: String
    public let manifest: CheckpointManifest
    private var fileOfTensor: [String: SafeTensorsFile] = [:]

    /// Opens a checkpoint; `verify` compares every file's checksum first.
    ///
    /// - Throws: `CheckpointError.damaged` naming the file.
    public init(path: String, verify: Bool = true) throws {
        self.path = path
        manifest = try CheckpointManifest(folder: path)
        if verify { try Self.verify(path, manifest) }
        for record in manifest.files {
            let file: SafeTensorsFile
            do {
                file = try SafeTensorsFile(path: "\(path)/\(record.name)")
            } catch {
                throw CheckpointError.damaged(path: "\(path)/\(record.name)", reason: "\(error)")
            }
            for name in file.entries.keys { fileOfTensor[name] = file }
        }
    }

    private static func verify(_ path: String, _ manifest: CheckpointManifest) throws {
        for record in manifest.files {
            let name = "\(path)/\(record.name)"
            let checksum: String
            do {
                checksum = try Checksum.text(ofFile: name)
            } catch {
                throw CheckpointError.damaged(path: name, reason: "\(error)")
            }
            guard checksum == record.checksum else {
                throw CheckpointError.damaged(path: name, reason: "its checksum must be \(record.checksum), but is \(checksum)")
            }
        }
    }

    /// - Throws: `CheckpointError.incompatible` unless the checkpoint was made under the same identity.
    public func requireIdentity(_ expected: [String: String]) throws {
        let differences = Set(expected.keys).union(manifest.identity.keys).sorted().compactMap { key -> String? in
            let (was, now) = (manifest.identity[key], expected[key])
            return was == now ? nil : "\(key) was \(was ?? "absent"), but is \(now ?? "absent")"
        }
        guard differences.isEmpty else { throw CheckpointError.incompatible(path: path, differences: differences) }
    }

    /// Reads all parameters of a store, and their moments if an optimizer is given.
    public func load(into store: ParameterStore, optimizer: Adam? = nil) throws {
        for placement in [ParameterPlacement.replicated, .expert] {
            let section = store.section(placement), moments = optimizer?.moments(placement)
            for location in store.locations(placement) {
                let name = location.slice.name
                try read(name, location.slice.shape, into: section.values, location.range)
                if let moments {
                    try read("adam.m.\(name)", location.slice.shape, into: moments.first, location.range)
                    try read("adam.v.\(name)", location.slice.shape, into: moments.second, location.range)
                }
            }
        }
    }

    private func read(_ name: String, _ shape: [Int], into tensor: Tensor, _ range: Range<Int>) throws {
        guard let file = fileOfTensor[name], let entry = file.entries[name], entry.type == .float32, entry.shape == shape
        else {
            let found = fileOfTensor[name]?.entries[name].map { "\($0.type.rawValue) of shape \($0.shape)" } ?? "absent"
            throw CheckpointError.damaged(path: path, reason: "\(name) must be F32 of shape \(shape), but is \(found)")
        }
        file.withBytes(name) { bytes in
            UnsafeMutableRawPointer(tensor.pointer + range.lowerBound).copyMemory(
                from: bytes.baseAddress!, byteCount: bytes.count)
        }
    }
}
