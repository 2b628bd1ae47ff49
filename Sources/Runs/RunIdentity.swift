import MixtureOfExperts

/// What a checkpoint is bound to.
extension RunConfiguration {
    /// The key of the prepared data's fingerprint.
    public static let dataIdentity = "data"

    /// The values that parameters and their meaning depend on: the model's shape, its vocabulary and the data. Others may change
    /// between the parts of a run.
    public func identity(vocabulary: Int, dataFingerprint: String) -> [String: String] {
        // Neither changes what the parameters are.
        let free = ["model.dropout", "model.attention_dropout", "model.compute"]
        var identity = Dictionary(
            uniqueKeysWithValues: values.filter { $0.path.hasPrefix("model.") && !free.contains($0.path) }
                .map { ($0.path, $0.value) })
        // Moments are those of what is trained.
        if training.trained != .all { identity["training.train"] = values.first { $0.path == "training.train" }?.value }
        // Checkpoints of earlier versions know this priority by another key, and are of the same model.
        let priority = "model.moe.capacity_priority"
        if identity[priority] == CapacityPriority.firstChoiceProbability.rawValue {
            identity[priority] = nil
            identity["model.moe.batch_prioritized"] = "true"
        }
        identity["vocabulary"] = String(vocabulary)
        identity[Self.dataIdentity] = dataFingerprint
        return identity
    }
}
