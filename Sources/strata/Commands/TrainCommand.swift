import ArgumentParser
import Benchmarks
import Checkpoints
import Collectives
import DataPipeline
import Files
import Foundation
import MixtureOfExperts
import ModelSurgery
import Reporting
import Runs
import TensorCore
import Training
import TransformerModel

/// `strata train`: trains a model, on as many ranks as mpirun started.
struct TrainCommand: ParsableCommand, RunsOnRanks {
    static let configuration = CommandConfiguration(
        commandName: "train",
        abstract: "Train a model; under mpirun on as many ranks as were started.",
        discussion: """
            Needs what strata prepare wrote. SIGTERM, SIGUSR1 or Ctrl-C write a checkpoint and end with status 75; --resume \
            goes on from the newest sound checkpoint, on the same or another number of ranks. Send SIGUSR1 to mpirun, which \
            passes it on: after SIGTERM it leaves the ranks little time and ends with a status of its own.

            Example:
              mpirun -n 2 strata train configs/quickstart.yaml --out runs/quickstart
              strata train configs/quickstart.yaml --out runs/quickstart --resume
            """)

    @OptionGroup var options: ConfigurationOptions

    @Option(help: ArgumentHelp("The folder of the run.", valueName: "run"))
    var out: String

    @Flag(help: "Go on from the newest sound checkpoint of the run; without one, begin.")
    var resume = false

    @Option(
        help: ArgumentHelp(
            "Begin with the parameters of this run or export, of the same model; the schedule begins anew, and without --moments "
                + "so does the optimizer.",
            valueName: "run"))
    var from: String?

    @Flag(help: "Begin with the optimizer's moments of what --from names, too.")
    var moments = false

    @Option(parsing: .unconditional, help: ArgumentHelp("Run this many ranks as threads of one process.", valueName: "n"))
    var simulateRanks: Int?

    @Option(
        help: ArgumentHelp(
            "Write the phases of the first \(TrainingProfile.updates) updates on each rank to a file, in Chrome's trace format.",
            valueName: "file"))
    var profile: String?

    func run() throws {
        StopRequest.listen()
        let status = try RankWorld.run(simulatedRanks: simulateRanks) { ranks in
            let requested = try ranks.together { try options.load() }
            return try ranks.computing(requested.parallel) { try train(requested, on: ranks) }
        }
        if status != .done { throw ExitCode(status.rawValue) }
    }

    private func train(_ requested: RunConfiguration, on ranks: RankWorld) throws -> ExitStatus {
        let display = ranks.isFirst ? ProgressDisplay() : nil
        let folder = RunFolder(path: out)
        try ranks.together {
            guard ranks.isFirst else { return }
            try checkFolder(folder)
            if let from { try requirePath(from, of: "--from") }
            guard from != nil || !moments else {
                throw CommandFailure(.usage, "--moments needs --from, which names the model whose moments they are")
            }
            if let profile { try TrainingProfile.check(profile) }
        }
        let (corpus, configuration) = try ranks.together { try open(requested, verify: ranks.isFirst) }
        try ranks.together {
            try requireMemory(
                configuration, vocabulary: corpus.vocabularySize, ranks: ranks.world.size,
                movesWhileComputing: ranks.world.movesWhileComputing)
            try configuration.requireTrainable(vocabulary: corpus.vocabularySize, on: ranks.world)
        }
        let lock = try ranks.lock(folder, display)
        defer { withExtendedLifetime(lock) {} }
        let watched = try ranks.watched(folder, configuration.parallel)
        defer { watched?.end() }
        let ranks = watched?.ranks ?? ranks
        let training = configuration.training
        let (sampler, heldOut) = try ranks.together {
            (try configuration.sampler(of: corpus), try configuration.heldOut(of: corpus))
        }
        try ranks.together {
            for (key, value) in [("patience", training.patience), ("validate_bleu", training.validateBLEU)] {
                guard value == 0 || heldOut != nil else {
                    throw CommandFailure(
                        .usage,
                        "training.\(key) must be 0 where there is no text to validate on, but is \(value): "
                            + "\(corpus.path) has no valid split")
                }
            }
        }
        let context = ComputeContext(threads: ranks.threads(configured: configuration.parallel.threadsPerRank))
        let stretch = Stretch(
            ranks: ranks, configuration: configuration, corpus: corpus, sampler: sampler, heldOut: heldOut, folder: folder,
            context: context, display: display, progress: TrainingProgress(display: display, updates: training.updates))
        var (end, update) = try train(stretch)
        // The model is made anew when nothing is left of the one before.
        while end == .replicasChanged { (end, update) = try train(stretch, after: update) }
        return end == .interrupted ? .resumable : .done
    }

    /// What a training keeps while models are made for it, one after another.
    private struct Stretch {
        let ranks: RankWorld
        let configuration: RunConfiguration
        let corpus: PreparedCorpus
        let sampler: TokenGroupSampler
        let heldOut: EvaluationGroups?
        let folder: RunFolder
        let context: ComputeContext
        let display: ProgressDisplay?
        let progress: TrainingProgress
        let started = ContinuousClock.now
    }

    /// Trains a model until the run ends, or is to go on with another one from the checkpoint just written, which is that of the
    /// update that is returned. `update`: the one that a model before this one came to; nil: it is the first.
    private func train(_ stretch: Stretch, after update: Int? = nil) throws -> (end: TrainingEnd, update: Int) {
        let (ranks, configuration, corpus) = (stretch.ranks, stretch.configuration, stretch.corpus)
        let (folder, context, display) = (stretch.folder, stretch.context, stretch.display)
        let training = configuration.training
        let run = try TrainingRun(
            configuration, vocabulary: corpus.vocabularySize, world: ranks.world, host: ranks.host, context: context)
        let checkpoints = run.checkpoints(
            in: folder.checkpoints,
            identity: configuration.identity(vocabulary: corpus.vocabularySize, dataFingerprint: corpus.fingerprint))
        let beginning = try ranks.together { () -> BeginningFrom? in
            if resume || update != nil { try restore(run, checkpoints, corpus, folder, display) }
            guard update == nil || run.resumed?.step == update else {
                throw CommandFailure(
                    .data,
                    "\(folder.checkpoints): must have the checkpoint of update \(update ?? 0), which was just written, but it cannot be "
                        + "read; see what is wrong with the disk, then go on with --resume")
            }
            return run.resumed == nil ? try begin(run, corpus, folder, display) : nil
        }
        let start = run.start
        let log = try ranks.together { () -> MetricsLog? in
            guard ranks.isFirst else { return nil }
            if start > 0 { try reportChanges(folder, configuration, display) } else { try folder.removeFindings() }
            if start == 0 { try BeginningFrom.record(beginning, in: folder) }
            try folder.write(configuration, tokenizerModel: "\(corpus.path)/\(PreparationManifest.modelName)")
            corpus.recordRun(folder.path)
            for file in corpus.changedText(configuration.data) {
                display?.note(
                    "warning: \(file): was changed after it was prepared; training uses \(corpus.path) as it is: "
                        + "run strata prepare again to use the new text")
            }
            return try MetricsLog(path: folder.metrics, continuingAfter: start)
        }
        let events = try ranks.together { () -> TensorBoardLog? in
            guard ranks.isFirst else { return nil }
            let gates = configuration.model.mixture.map { mixture in
                mixture.strata.indices.map(mixture.widest.visibleExperts(atStratum:))
            }
            return try TensorBoardLog(
                folder: folder.path, continuingAfter: start, gates: gates ?? [],
                expertsStay: configuration.model.mixture?.pool == nil)
        }
        let peak = try ranks.world.allReduce(SgemmPeak.gflops(context, precision: configuration.model.compute, .glance), .sum)
        let trainer = try run.trainer(on: stretch.sampler, peakFlops: peak * 1e9)
        let translations = try ranks.together {
            training.validateBLEU == 0
                ? nil : try HeldOutTranslations(run, corpus, sentences: training.validateBLEU, ranks: ranks)
        }
        let coordinator = TrainingCoordinator(
            trainer: trainer, checkpoints: checkpoints, cadence: configuration.checkpoint, heldOut: stretch.heldOut,
            bleu: translations?.bleu, log: log, patience: run.resumed?.patience, started: stretch.started)
        if let display { try announce(display, run, corpus) }
        let trace = (update == nil ? profile : nil).map {
            TrainingProfile(path: $0, clock: context.clock, startingAfter: start)
        }
        func note(_ failure: FileError?) { if let failure { display?.note("warning: \(failure)") } }
        let end = try coordinator.run(isInterrupted: { StopRequest.isMade }) { event in
            stretch.progress.report(event)
            if let failure = events?.append(event) { display?.note("warning: \(failure); TensorBoard will lack these updates") }
            if case let .update(metrics) = event { note(try trace?.finish(after: metrics.update, ranks)) }
        }
        note(try trace?.finish(ranks))
        stretch.progress.finish(end, trainer.update, folder)
        return (end, trainer.update)
    }

    /// A run that exists is only gone on with if that was asked for, and nothing else is made one.
    private func checkFolder(_ folder: RunFolder) throws {
        try requirePath(out, of: "--out")
        guard !folder.isExport, !folder.isPreparedData else {
            throw CommandFailure(
                .usage,
                "--out \(out): must be a new folder or that of a run, but holds "
                    + "\(folder.isExport ? "an export" : "prepared data"); name another")
        }
        guard !resume, try folder.isBegun else { return }
        throw CommandFailure(
            .usage, "--out \(folder.path): the folder already holds a run; add --resume to go on with it, or name another")
    }

    /// The prepared data, and the configuration with the directions that it resolves to.
    private func open(_ requested: RunConfiguration, verify: Bool) throws -> (PreparedCorpus, RunConfiguration) {
        let corpus = try PreparedCorpus(path: requested.data.prepared)
        try corpus.requireSettings(of: requested.data)
        if verify { try corpus.verify() }
        var configuration = requested
        if configuration.data.directions.isEmpty { configuration.data.directions = corpus.directions }
        if let absent = configuration.data.directions.first(where: { !corpus.directions.contains($0) }) {
            let names = corpus.directions.map(\.description).joined(separator: ", ")
            throw CommandFailure(
                .usage,
                "data.directions must be among those prepared, but \(absent) is not; \(corpus.path) has: \(names); "
                    + "prepare again to change them")
        }
        return (corpus, configuration)
    }

    /// Loads the newest sound checkpoint, if there is one.
    private func restore(
        _ run: TrainingRun, _ checkpoints: CheckpointStore, _ corpus: PreparedCorpus, _ folder: RunFolder,
        _ display: ProgressDisplay?
    ) throws {
        let reader = try checkpoints.openNewest { display?.note("warning: \($0); trying the one before it") }
        guard let reader else { return }
        let updates = run.configuration.training.updates
        guard reader.manifest.step <= updates else {
            throw CommandFailure(
                .usage,
                "training.updates must be at least \(reader.manifest.step), the update of \(reader.path), but is "
                    + "\(updates): ask for more, or begin a run in another folder")
        }
        try requireTokenizer(of: folder, corpus)
        try run.resume(from: reader)
        display?.note("resuming from \(reader.path)")
    }

    /// The experts that exist in a model that a run with a pool of them begins with.
    ///
    /// - Throws: `SurgeryError` where the run could not have them.
    private func experts(
        of model: StoredModel, for configuration: ModelConfiguration, _ mixture: MixtureConfiguration
    ) throws -> [[Int]] {
        guard let experts = try model.experts() else {
            throw SurgeryError(
                "\(model.path): to begin a training with it, its experts must be ones that come and go "
                    + "(model.moe.expert_pool), but they are not: leave the key out of the configuration")
        }
        let strata = model.configuration.model.mixture?.strata ?? []
        guard strata == mixture.strata, experts.count == configuration.blockNames.count else {
            throw SurgeryError(
                "\(model.path): model.moe.strata and the number of blocks must be the run's, \(mixture.strata) and "
                    + "\(configuration.blockNames.count), but are \(strata) and \(experts.count)")
        }
        guard experts.allSatisfy(mixture.hasEveryStratum) else {
            throw SurgeryError(
                "\(model.path): every stratum of a block must have at least model.moe.expert_pool.minimum experts, "
                    + "\(mixture.fewestExperts), but does not: its experts are \(experts)")
        }
        return experts
    }

    /// Loads the parameters of the model that the run begins with, if there is one: the one that is given or, of a run that is resumed
    /// before its first checkpoint, the one that it began with.
    private func begin(
        _ run: TrainingRun, _ corpus: PreparedCorpus, _ folder: RunFolder, _ display: ProgressDisplay?
    ) throws -> BeginningFrom? {
        let recorded = try resume ? BeginningFrom(of: folder) : nil
        guard let beginning = try from.map({ try BeginningFrom($0, moments: moments, as: recorded) }) ?? recorded else {
            if resume, try folder.isBegun { display?.note("warning: there is no checkpoint to resume from: beginning") }
            return nil
        }
        let model = try beginning.model { display?.note("warning: \($0); using another one") }
        if let mixture = run.configuration.model.mixture, mixture.pool != nil {
            run.begin(with: try experts(of: model, for: run.configuration.model, mixture))
        }
        let known = try model.load(into: run.model.store, tokenizer: corpus.tokenizer)
        if let absent = run.model.absentChoice {
            throw SurgeryError("\(model.path): must have the experts that its gates may choose, but \(absent) does not exist")
        }
        if let moments = model.moments {
            try model.loadMoments(into: run.state, tokenizer: corpus.tokenizer)
            run.begin(withMomentsOf: moments.updates)
        }
        let carried = model.moments.map {
            "; moments of \($0.coverage(of: model.parameters)), moved by \($0.updates) updates, are its"
        }
        display?.note(
            "beginning with update \(model.step) of \(model.path)" + (carried ?? "")
                + (known < corpus.vocabularySize
                    ? "; \(known) of \(corpus.vocabularySize) tokens have its embeddings, the others are new" : ""))
        // What changes no shape is no error.
        for change in run.configuration.differences(from: model.configuration) where change.hasPrefix("model.") {
            display?.note("not as in \(model.path): \(change)")
        }
        run.average?.restart()
        return BeginningFrom(beginning, model)
    }

    /// The same text and settings give another tokenizer where SentencePiece is of another version.
    private func requireTokenizer(of folder: RunFolder, _ corpus: PreparedCorpus) throws {
        guard FileManager.default.fileExists(atPath: folder.tokenizer),
            try !Tokenizer(modelFile: folder.tokenizer).hasTokens(of: corpus.tokenizer)
        else { return }
        throw CommandFailure(
            .data,
            "\(corpus.path)/\(PreparationManifest.modelName): must have the tokens of \(folder.tokenizer), which the run was trained "
                + "with, but has others: prepare with the version of SentencePiece that made them, or begin a run in another folder"
        )
    }

    /// Names the keys whose values are not those the run had so far.
    private func reportChanges(_ folder: RunFolder, _ configuration: RunConfiguration, _ display: ProgressDisplay?) throws {
        guard FileManager.default.fileExists(atPath: folder.configuration) else { return }
        let earlier = try RunConfiguration.load(file: folder.configuration)
        for change in configuration.differences(from: earlier) { display?.note("changed: \(change)") }
    }

    private func announce(_ display: ProgressDisplay, _ run: TrainingRun, _ corpus: PreparedCorpus) throws {
        let layout = run.groups.layout, mixture = run.configuration.model.mixture
        if let path = run.configuration.parallel.placement, run.hasUsualPlaces, layout.expertParallel > 1 {
            display.note(
                "\(path) is not of groups of \(layout.expertParallel) ranks: experts have their usual places; "
                    + "strata plan --placement makes one that is")
        }
        let experts =
            mixture.map { mixture in
                let choice = mixture.rule.readsTopK ? "top-\(mixture.topK)" : mixture.routing
                return "strata \(mixture.strataText), \(choice)"
            } ?? "dense"
        display.note(
            "\(experts); \(NumberText.count(run.model.store.count)) parameters on this rank"
                + (run.configuration.training.trained == .all
                    ? "; "
                    : ", of which \(NumberText.count(run.model.store.parameters.reduce(0) { $0 + ($1.isTrained ? $1.count : 0) })) "
                        + "are trained; ")
                + "\(layout.ranks) rank(s) = \(layout.expertParallel) expert-parallel × \(layout.replicas) replica(s), "
                + (layout.parts == layout.replicas
                    ? "" : "small strata in \(layout.expertParallel / layout.partSize) copies a group, ")
                + (run.passesOnWithinHosts ? "rows passed on within hosts, " : "")
                + (run.groupsInTurns > 1 ? "\(run.groupsInTurns) token groups of a rank in turns, " : "")
                + "\(run.model.context.pool.threads) thread(s) each; \(corpus.directions.count) directions, "
                + "vocabulary \(NumberText.count(corpus.vocabularySize))")
        if !run.model.replicated.isEmpty {
            let experts = run.model.replicated.sorted { $0.key < $1.key }.map { block, experts in
                "\(block) \(experts.map(String.init).joined(separator: " "))"
            }
            display.note("experts that every rank has: \(experts.joined(separator: ", "))")
        }
    }
}
