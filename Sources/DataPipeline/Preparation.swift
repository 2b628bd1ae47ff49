import Files
import Foundation
import TensorCore

extension PreparedCorpus {
    /// Trains the tokenizer, tokenizes each language pair once and writes the folder `configuration.prepared`.
    ///
    /// Memory is bounded whatever the corpus. The folder appears by a rename when it is complete; until then an older one
    /// stays. One that was interrupted is gone on with. If it already holds this text prepared this way, undamaged, nothing is done.
    ///
    /// - Parameters:
    ///   - threads: those that tokenize; they do not change the result.
    ///   - force: replaces a folder of other text or settings even if runs were trained on it.
    ///   - progress: called on the calling thread, a few times a second of work.
    /// - Throws: `DataError`: impossible configuration, unusable text, or a refusing file system.
    public static func prepare(
        configuration: DataConfiguration, threads: Int = Processors.available, force: Bool = false,
        progress: (PreparationProgress) -> Void = { _ in }
    ) throws -> PreparationReport {
        try check(configuration)
        var destination = configuration.prepared
        while destination.count > 1, destination.hasSuffix("/") { destination.removeLast() }
        let text = try ParallelText.open(configuration)

        let previous = try? PreparationManifest(folder: destination)
        let paths = text.parts.flatMap(\.source.files)
        let inputs = try examine(paths, known: previous?.inputs ?? []) { done in
            progress(PreparationProgress(phase: .examining, done: done, total: paths.count, detail: paths[done]))
        }
        let fingerprints = try acceptedFingerprints(configuration, directions: text.directions, inputs: inputs)
        if let previous, fingerprints.contains(previous.fingerprint), (try? PreparedCorpus(path: destination).verify()) != nil {
            return PreparationReport(path: destination, alreadyPrepared: true, manifest: previous, text: text)
        }

        let fingerprint = fingerprints[0]
        let runs = TrainedRuns(folder: destination).paths
        // Of the same fingerprint it is damaged: what is made anew fits the runs.
        let stays = previous?.fingerprint == fingerprint
        guard runs.isEmpty || stays || force else {
            throw DataError(
                .configuration,
                "\(destination): must be prepared data that no run was trained on, but \(runs.joined(separator: ", ")) \(runs.count == 1 ? "was" : "were"); "
                    + "made anew from other text or settings it no longer fits: name another folder in data.prepared, or add --force"
            )
        }
        let folder = try PreparationFolder(destination: destination)
        do {
            var passes = PreparationPasses(
                configuration: configuration, text: text, folder: folder.partial, fingerprint: fingerprint, threads: threads)
            try folder.clear(keeping: passes.finished)
            let manifest = try passes.run(inputs: inputs, progress: progress)
            if stays { for run in runs { TrainedRuns(folder: folder.partial).add(run) } }
            try folder.commit()
            return PreparationReport(path: destination, alreadyPrepared: false, manifest: manifest, text: text)
        } catch {
            folder.abandon()
            throw error
        }
    }

    private static func check(_ configuration: DataConfiguration) throws {
        func require(_ condition: Bool, _ key: String, _ must: String, _ actual: Any) throws {
            if !condition { throw DataError(.configuration, "data.\(key) must be \(must), but is \(actual)") }
        }
        try require(!configuration.prepared.isEmpty, "prepared", "a folder", "empty")
        try require(configuration.vocabulary > 0, "vocabulary", "more than 0", configuration.vocabulary)
        try require(
            (0.98...1).contains(configuration.characterCoverage), "character_coverage",
            "0.98 to 1", configuration.characterCoverage)
        try require(
            configuration.tokenizerSentences > 0, "tokenizer_sentences", "more than 0", configuration.tokenizerSentences)
        try require(configuration.maximumLength > 0, "maximum_length", "more than 0", configuration.maximumLength)
    }
}
