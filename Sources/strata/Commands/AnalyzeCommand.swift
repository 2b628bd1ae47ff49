import ArgumentParser
import Collectives
import DataPipeline
import Evaluation
import Foundation
import Reporting
import Runs

/// `strata analyze`: how the gates route a text.
struct AnalyzeCommand: ParsableCommand, RunsOnRanks {
    static let configuration = CommandConfiguration(
        commandName: "analyze",
        abstract: "Count how the gates route a text: requested capacity, expert load, entropy, drops.",
        discussion: """
            Runs a checkpoint, the newest sound one, over sentence pairs, the translation given, and writes analysis.json and \
            tables (.csv) into the folder. RC, the requested capacity, is the strata that tokens pass, on average. Under mpirun \
            the ranks share the text, and find the same. Docs/Analysis.md says what each figure means.

            Example:
              strata analyze runs/quickstart
              strata analyze runs/quickstart --split valid --limit 100 --out sample
              strata analyze run --source a --target b --direction eng-cat --out sample
            """)

    @Argument(help: ArgumentHelp("The folder of the run, or of an export.", valueName: "run"))
    var folder: String

    @Option(help: ArgumentHelp("The part of the data: test, valid or train.", valueName: "name"))
    var split: String?

    @Option(help: ArgumentHelp("Only this direction; may be repeated.", valueName: "src-tgt"))
    var direction: [String] = []

    @Option(parsing: .unconditional, help: ArgumentHelp("Only the first sentences of each direction.", valueName: "n"))
    var limit: Int?

    @Option(help: ArgumentHelp("In place of a split: text, a sentence a line.", valueName: "file"))
    var source: String?

    @Option(help: ArgumentHelp("The translations of --source, line by line.", valueName: "file"))
    var target: String?

    @Option(
        parsing: .unconditional,
        help: ArgumentHelp(
            "Leave tokens that occur fewer times out of those of highest and lowest RC.", valueName: "n"))
    var minimumCount = 5

    @Option(
        help: ArgumentHelp(
            "The folder to write into (default: analysis, in the run's folder; required for a part of a split, and for --source).",
            valueName: "folder"))
    var out: String?

    @OptionGroup var place: DataOptions

    @Option(parsing: .unconditional, help: ArgumentHelp("Run this many ranks as threads of one process.", valueName: "n"))
    var simulateRanks: Int?

    @OptionGroup var checkpoint: CheckpointOptions

    @Flag(help: .json)
    var json = false

    func run() throws {
        let status = try RankWorld.run(simulatedRanks: simulateRanks) { ranks in
            try ranks.together { try checkOptions() }
            return try analyze(on: ranks)
        }
        if status != .done { throw ExitCode(status.rawValue) }
    }

    private func checkOptions() throws {
        if let limit, limit < 1 { throw CommandFailure(.usage, "--limit must be at least 1, but is \(limit)") }
        guard minimumCount >= 1 else {
            throw CommandFailure(.usage, "--minimum-count must be at least 1, but is \(minimumCount)")
        }
        if let split, Split(rawValue: split) == nil {
            throw CommandFailure(.usage, "--split must be test, valid or train, but is \(split)")
        }
        let isSplit = source == nil && target == nil
        guard isSplit || source != nil && target != nil && split == nil && direction.count == 1 else {
            throw CommandFailure(
                .usage, "--source and --target must be given together, with one --direction and without --split")
        }
        if let out { try requirePath(out, of: "--out") } else { try checkWhole() }
    }

    /// strata report shows what is in the run's folder: an analysis of a part must not take the place of a whole one.
    private func checkWhole() throws {
        let isPart = ["--limit": limit != nil, "--direction": !direction.isEmpty, "--source": source != nil]
        let parts = isPart.filter(\.value).keys.sorted().joined(separator: ", ")
        guard parts.isEmpty else {
            throw CommandFailure(
                .usage, "--out is required with \(parts): \(RunFolder(path: folder).analysisFolder) is for whole splits")
        }
    }

    private func analyze(on ranks: RankWorld) throws -> ExitStatus {
        let trained = try TrainedModel.load(folder, checkpoint.choice(), averaged: checkpoint.average, on: ranks)
        let (text, directions, training) = try ranks.together {
            let (text, directions) = try open(trained, verify: ranks.isFirst)
            return (text, directions, try trainingText(text, trained))
        }
        guard let mixture = trained.configuration.model.mixture else {
            preconditionFailure("a dense model was refused")
        }
        let vocabulary = RoutingAnalysis.Vocabulary(trained.tokenizer)
        let report = try ranks.together {
            ranks.isFirst ? try AnalysisReport(folder: out ?? RunFolder(path: folder).analysisFolder) : nil
        }
        defer { report?.removePartial() }
        var analysis = RoutingAnalysis(
            step: trained.step, text: text.name, strata: mixture.strata, decoderStrata: mixture.decoderStrata,
            topK: mixture.topK,
            capacityFactor: mixture.trainingCapacityFactor.map(Double.init),
            frequencySource: training == nil ? .analysed : .training, minimumCount: minimumCount)
        if mixture.pool != nil { analysis.existingExperts = existingExperts(trained, every: mixture.every) }
        let display = ranks.isFirst ? ProgressDisplay() : nil
        for direction in directions {
            let tally = try tally(direction, text, trained, ranks, display)
            let counts = try counts(direction, tally, training, ranks)
            let frequencies = (source: TokenFrequencies(counts: counts.source), target: TokenFrequencies(counts: counts.target))
            try ranks.together {
                guard let report else { return }
                analysis.append(
                    direction, tally, every: mixture.every, vocabulary: vocabulary, frequencies: frequencies)
                try report.append(
                    tokenLines: RoutingAnalysis.tokenLines(
                        direction, tally, every: mixture.every, vocabulary: vocabulary, frequencies: frequencies))
            }
        }
        try ranks.together {
            guard let report else { return }
            try report.finish(analysis)
            display?.note("update \(trained.step), \(text.name); written to \(report.folder)")
            print(json ? try AnalysisReport.json(analysis) : AnalysisReport.text(analysis), terminator: "")
        }
        return .done
    }

    private func existingExperts(_ trained: TrainedModel, every: Int) -> [RoutingAnalysis.BlockExperts] {
        let inEncoder = trained.configuration.model.encoderBlocks
        return trained.model.blocks.enumerated().map { index, block in
            let isEncoder = index < inEncoder, place = isEncoder ? index : index - inEncoder
            return .init(
                side: isEncoder ? .encoder : .decoder, layer: (place + 1) * every - 1, experts: block.placement.existing)
        }
    }

    /// The ranks' share of the groups, summed: the same on all.
    private func tally(
        _ direction: Direction, _ text: ReferenceText, _ trained: TrainedModel, _ ranks: RankWorld, _ display: ProgressDisplay?
    ) throws -> RoutingTally {
        let groups = try ranks.together { try text.groups(direction, trained, limit: limit) }
        var tally = RoutingTally(trained.configuration.model, vocabulary: trained.tokenizer.vocabularySize)
        for (number, index) in groups.indices.enumerated() where number % ranks.world.size == ranks.world.rank {
            try tally.add(groups[index], trained.model)
            display?.show("\(direction)  \(number + 1)/\(groups.count) groups")
        }
        try tally.sum { try ranks.world.allReduce(&$0, .sum) }
        return tally
    }

    /// How often tokens occur in the training text, or else in the text itself.
    private func counts(
        _ direction: Direction, _ tally: RoutingTally, _ training: PreparedCorpus?, _ ranks: RankWorld
    ) throws -> (source: [Int64], target: [Int64]) {
        guard let training else { return tally.counts }
        var counts = try ranks.together {
            try training.tokenCounts(direction, .train, from: ranks.world.rank, by: ranks.world.size)
        }
        try ranks.world.allReduce(&counts.source, .sum)
        try ranks.world.allReduce(&counts.target, .sum)
        return counts
    }

    /// `verify`: as the first rank.
    private func open(_ trained: TrainedModel, verify: Bool) throws -> (ReferenceText, [Direction]) {
        guard trained.configuration.model.mixture != nil else {
            throw CommandFailure(
                .usage, "\(folder): must be the run of a mixture of experts, but its model is dense: it has no gates")
        }
        if let source, let target {
            let chosen = try trained.directions(named: direction)
            let text = try AlignedText(source: source, target: target, limit: limit ?? .max)
            guard !text.pairs.isEmpty else {
                throw CommandFailure(.data, "\(source) and \(target): must hold sentences, a line each, but are empty")
            }
            return (.files(text), chosen)
        }
        let split = split.flatMap(Split.init) ?? .test
        let corpus = try trained.corpus(of: folder, at: place.data)
        if verify { try corpus.verify(split) }
        return (.split(corpus, split), try trained.available(direction, corpus, split) { if verify { warn($0) } })
    }

    /// The prepared data of a split, or, if it is still there, that which the model was trained on.
    private func trainingText(_ text: ReferenceText, _ trained: TrainedModel) throws -> PreparedCorpus? {
        if case let .split(corpus, _) = text { return corpus }
        return try? trained.corpus(of: folder, at: place.data)
    }
}

extension RoutingAnalysis.Vocabulary {
    init(_ tokenizer: Tokenizer) {
        let tokens = 0..<Int32(tokenizer.vocabularySize)
        self.init(pieces: tokens.map(tokenizer.piece), isControl: tokens.map(tokenizer.isControl))
    }
}
