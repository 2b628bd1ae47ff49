extension PreparedCorpus {
    /// The text files of a configuration that are not what was prepared: changed since, or new. Empty where the text is not
    /// there any more. A file of the same size is read only if its time has changed.
    public func changedText(_ configuration: DataConfiguration) -> [String] {
        var configuration = configuration
        // What was prepared is to be compared, whatever pairs came to it.
        configuration.directions = directions
        guard let text = try? ParallelText.open(configuration) else { return [] }
        let paths = text.parts.flatMap(\.source.files)
        guard let inputs = try? examine(paths, known: manifest.inputs, progress: { _ in }) else { return [] }
        return zip(paths, inputs).filter { _, input in
            !manifest.inputs.contains { ($0.name, $0.size, $0.checksum) == (input.name, input.size, input.checksum) }
        }.map(\.0)
    }
}
