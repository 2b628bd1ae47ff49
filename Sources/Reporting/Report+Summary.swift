import Evaluation

extension Report {
    var summary: Section {
        var children = [summaryTable.markup, Self.summaryNote]
        for run in runs {
            for problem in notes(run) { children.append(Self.absent("\(run.name): \(problem)")) }
        }
        return Section(id: "summary", title: "Summary", children: children)
    }

    /// Splits with an evaluation, test before others.
    var splits: [String] {
        Set(runs.flatMap { $0.evaluations.map(\.split) }).sorted { ($0 != "test" ? 1 : 0, $0) < ($1 != "test" ? 1 : 0, $1) }
    }

    var summaryTable: DataTable {
        let splits = splits.isEmpty ? ["test"] : splits
        return DataTable(
            header: ["run", "method", "parameters", "MFLOPs/token", "updates", "loss", "validation perplexity"]
                + splits.map { "BLEU, \($0)" } + ["RC", "dropped", "target tokens/s", "training time"],
            rows: runs.map { row($0, splits) })
    }

    private func row(_ run: RunFigures, _ splits: [String]) -> [String] {
        let history = run.history
        func text(_ value: Double?, _ format: (Double) -> String) -> String { value.map(format) ?? "–" }
        func at(_ update: Int, _ figure: String) -> String { "\(figure) (at \(NumberText.count(update)))" }
        let perplexity = history.validations.last.map { at($0.update, NumberText.figure($0.validPerplexity)) }
        let scores = splits.map { split in
            run.evaluation(split).map { at($0.update, NumberText.decimal($0.average.bleu, 2)) } ?? "–"
        }
        let isMixture = !run.isDense
        return [
            run.name, run.method, run.parameters.map(NumberText.count) ?? "–",
            text(run.flopsPerToken) { NumberText.figure($0 / 1e6) },
            "\(NumberText.count(history.updates.last?.update ?? 0)) of \(NumberText.count(run.plannedUpdates))",
            text(history.recentMean(\.loss), NumberText.figure), perplexity ?? "–",
        ] + scores + [
            text(isMixture ? history.recentMean(\.requestedCapacity) : nil) { NumberText.decimal($0, 2) },
            text(isMixture ? history.recentMean(\.droppedFraction) : nil, NumberText.percent),
            text(history.tokensPerSecond) { NumberText.count($0.rounded()) },
            text(history.seconds > 0 ? history.seconds : nil, NumberText.duration),
        ]
    }

    private static var summaryNote: Markup {
        .element(
            "p", ["class": "note"],
            [
                .text(
                    "MFLOPs are a token's way forward, under uniform routing, as strata plan counts them. Loss, RC and dropped "
                        + "are means of the last tenth of training's updates, at most \(TrainingHistory.mostRecent); loss is "
                        + "label-smoothed cross-entropy in nats per target token. RC, the requested capacity, is the strata that "
                        + "a token passes, on average. Speed and time are those of updates, without validation and checkpoints."
                )
            ])
    }

    /// What a reader should know before reading the figures.
    private func notes(_ run: RunFigures) -> [String] {
        var notes = run.problems
        if run.history.updates.isEmpty { notes.append("metrics.jsonl has no update yet.") }
        let skipped = run.history.skipped, unreadable = run.history.unreadableLines
        if skipped > 0 {
            notes.append("updates skipped because loss or gradient norm was not finite: \(NumberText.count(skipped)).")
        }
        if unreadable > 0 {
            notes.append("lines of metrics.jsonl that cannot be read, and are left out: \(NumberText.count(unreadable)).")
        }
        return notes
    }
}
