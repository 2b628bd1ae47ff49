import Checkpoints

extension StoredModel {
    /// The model whose every parameter is the mean of these models', computed in double precision and rounded once. Averaging
    /// the last checkpoints of a run smooths what its last updates did by chance (arXiv 1706.03762, 6.1).
    ///
    /// - Throws: `SurgeryError` unless all are models of one shape, trained on the same data; `CheckpointError.damaged`.
    public static func average(_ models: [StoredModel]) throws -> StoredModel {
        precondition(!models.isEmpty, "a mean needs something to be the mean of")
        let first = models[0], latest = models.max { $0.step < $1.step }!
        for other in models.dropFirst() {
            func mismatch(_ what: String, _ expected: String, _ found: String) -> SurgeryError {
                SurgeryError(
                    "\(other.path): to be averaged with \(first.path) its \(what) must be \(expected), but is \(found): "
                        + "average checkpoints of one run")
            }
            let (meanings, others) = (first.meaning, other.meaning)
            for key in Set(meanings.keys).union(others.keys).sorted() where meanings[key] != others[key] {
                throw mismatch(key, meanings[key] ?? "absent", others[key] ?? "absent")
            }
            guard try first.experts() == other.experts() else {
                throw SurgeryError(
                    "\(other.path): to be averaged with \(first.path) it must have its experts, but training has added or removed "
                        + "some between them: average checkpoints of updates between two changes")
            }
            // A slot may have been left and taken again in one change.
            let updates = min(first.step, other.step) + 1..<max(first.step, other.step) + 1
            if let pool = first.configuration.model.mixture?.pool, let change = updates.first(where: pool.adapts) {
                throw SurgeryError(
                    "\(other.path): to be averaged with \(first.path) it must have its experts, but training may have changed them "
                        + "after update \(change): average checkpoints of updates between two changes")
            }
            for name in Set(first.parameters.names).union(other.parameters.names).sorted() {
                let (expected, found) = (first.parameters.shape(name), other.parameters.shape(name))
                guard expected == found else {
                    throw mismatch(
                        name, expected.map { "of shape \($0)" } ?? "absent", found.map { "of shape \($0)" } ?? "absent")
                }
            }
        }
        var mean = latest
        mean.parameters = MeanTensors(models.map(\.parameters))
        mean.moments = nil
        let steps = models.map { String($0.step) }
        mean.history.append("mean of the parameters after updates \(steps.joined(separator: ", "))")
        return mean
    }

    /// What the parameters' meaning depends on, by name.
    private var meaning: [String: String] {
        configuration.identity(vocabulary: vocabulary, dataFingerprint: dataFingerprint)
    }
}

/// Tensors that are the means of others of the same names and shapes.
private struct MeanTensors: NamedTensors {
    private let parts: [any NamedTensors]

    init(_ parts: [any NamedTensors]) { self.parts = parts }

    var names: [String] { parts[0].names }

    func shape(_ name: String) -> [Int]? { parts[0].shape(name) }

    func read(_ name: String, _ elements: Range<Int>, into target: UnsafeMutablePointer<Float>) throws {
        // Single precision holds a part on its way to the sum.
        var sums = [Double](repeating: 0, count: elements.count)
        for part in parts {
            try part.read(name, elements, into: target)
            for index in sums.indices { sums[index] += Double(target[index]) }
        }
        for index in sums.indices { target[index] = Float(sums[index] / Double(parts.count)) }
    }
}
