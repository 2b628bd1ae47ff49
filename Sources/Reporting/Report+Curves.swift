import Evaluation
import Training

extension Report {
    var curves: Section {
        guard let bins = updateBins(atMost: LineChart.bins) else {
            return Section(id: "curves", title: "Training", children: [Self.absent("No update is done yet.")])
        }
        var charts = [lossChart]
        if let difference = lossDifferenceChart { charts.append(difference) }
        for bleu in [validationBLEUChart, bleuChart].compactMap(\.self) { charts.append(bleu) }
        charts += [perplexityChart, rateChart, normChart, speedChart]
        if let utilization = utilizationChart { charts.append(utilization) }
        let dense = runs.filter(\.isDense)
        if dense.count < runs.count {
            charts += [requestedCapacityChart, droppedChart]
            if let violation = loadViolationChart { charts.append(violation) }
            charts += figureCharts
        }
        var children = [Self.grid(charts.compactMap { $0.figure(bins) })]
        if !dense.isEmpty {
            let text = "\(Self.names(dense)): a dense model has no experts, and so no RC, drops, load or gates."
            children.append(Self.absent(text))
        }
        return Section(id: "curves", title: "Training", children: children)
    }

    /// Bins over the updates of all runs; nil before the first update.
    func updateBins(atMost limit: Int) -> UpdateBins? {
        let ranges = runs.compactMap(\.history.range)
        guard let first = ranges.map(\.lowerBound).min(), let last = ranges.map(\.upperBound).max() else { return nil }
        return UpdateBins(first...last, atMost: limit)
    }

    private func trained(
        mixturesOnly: Bool = false, part: String? = nil, _ figure: (UpdateMetrics) -> Double
    ) -> [LineChart.Series] {
        runs.enumerated().filter { !mixturesOnly || !$0.element.isDense }.map { index, run in
            .init(mark: mark(index), run: run.name, part: part, values: run.history.updates.map { ($0.update, figure($0)) })
        }
    }

    private func validated(
        mixturesOnly: Bool = false, part: String? = "validation", _ figure: (ValidationMetrics) -> Double
    ) -> [LineChart.Series] {
        let shown = runs.enumerated().filter { !mixturesOnly || !$0.element.isDense }
        return shown.filter { !$0.element.history.validations.isEmpty }.map { index, run in
            .init(
                mark: mark(index), run: run.name, part: part, style: .dots,
                values: run.history.validations.map { ($0.update, figure($0)) })
        }
    }

    private var lossChart: LineChart {
        LineChart(
            title: "Loss", note: "Label-smoothed cross-entropy; training with dropout, validation without.",
            measure: "loss (nats per target token)",
            series: trained(part: "training", \.loss) + validated(\.validLoss))
    }

    /// Curves of several runs lie on one another, since all get easy and hard sentences in the same updates; their differences
    /// do not. Nil unless two runs did an update in common.
    private var lossDifferenceChart: LineChart? {
        guard let first = runs.first, runs.count > 1 else { return nil }
        let losses = Dictionary(first.history.updates.map { ($0.update, $0.loss) }) { $1 }
        let series = runs.enumerated().dropFirst().compactMap { index, run -> LineChart.Series? in
            let values = run.history.updates.compactMap { update in
                losses[update.update].map { (update: update.update, value: update.loss - $0) }
            }
            return values.isEmpty ? nil : .init(mark: mark(index), run: run.name, values: values)
        }
        guard !series.isEmpty else { return nil }
        return LineChart(
            title: "Loss, less that of \(first.name)",
            note: "Training loss minus that of \(first.name) in the same update; below 0 is better.",
            measure: "difference (nats per target token)", series: series, format: { NumberText.decimal($0, 4) })
    }

    private var perplexityChart: LineChart {
        LineChart(
            title: "Validation perplexity", note: "Of held-out text, per target token, without label smoothing; 1 is perfect.",
            measure: "perplexity", series: validated(part: nil, \.validPerplexity))
    }

    /// Nil unless validations of a run translated.
    private var validationBLEUChart: LineChart? {
        let series = runs.enumerated().compactMap { index, run -> LineChart.Series? in
            let values = run.history.validations.compactMap { validation in
                validation.validBLEU.map { (update: validation.update, value: $0) }
            }
            return values.isEmpty ? nil : .init(mark: mark(index), run: run.name, style: .dots, values: values)
        }
        guard !series.isEmpty else { return nil }
        return LineChart(
            title: "Validation BLEU",
            note: "Of the first training.validate_bleu sentences of each direction by greedy search, the mean over directions.",
            measure: "BLEU", extent: .from(0), series: series, format: { NumberText.decimal($0, 2) })
    }

    /// Nil unless a run was evaluated at several updates.
    private var bleuChart: LineChart? {
        guard let split = splits.first, runs.contains(where: { ($0.evaluation(split)?.means.count ?? 0) > 1 }) else {
            return nil
        }
        return LineChart(
            title: "Average BLEU", note: "Split \(split), the mean over directions, each time the run was evaluated.",
            measure: "BLEU", extent: .from(0),
            series: runs.enumerated().compactMap { index, run in
                run.evaluation(split).map { result in
                    .init(
                        mark: mark(index), run: run.name, style: .dots,
                        values: result.means.map { ($0.update, $0.average.bleu) })
                }
            }, format: { NumberText.decimal($0, 2) })
    }

    private var rateChart: LineChart {
        LineChart(
            title: "Learning rate", note: "Rises linearly in warm-up, then goes on as training.schedule says.",
            measure: "learning rate", extent: .from(0), series: trained(\.learningRate))
    }

    private var normChart: LineChart {
        LineChart(
            title: "Gradient norm", note: "L2 norm over all parameters, every expert once, before clipping.",
            measure: "norm", extent: .logarithmic, series: trained(\.gradientNorm))
    }

    private var speedChart: LineChart {
        LineChart(
            title: "Speed", note: "Target tokens of an update over the seconds that it took.", measure: "target tokens/s",
            extent: .from(0), series: trained(\.tokensPerSecond))
    }

    /// Nil unless a run says it.
    private var utilizationChart: LineChart? {
        let series = runs.enumerated().compactMap { index, run -> LineChart.Series? in
            let values = run.history.updates.compactMap { update in
                update.flopsUtilization.map { (update: update.update, value: 100 * $0) }
            }
            return values.isEmpty ? nil : .init(mark: mark(index), run: run.name, values: values)
        }
        guard !series.isEmpty else { return nil }
        return LineChart(
            title: "Model FLOPs utilization",
            note: "Operations of the model's products, forward and backward, over what the processors reach with large ones.",
            measure: "utilization (%)", extent: .from(0), series: series, format: { NumberText.decimal($0, 1) + "%" })
    }

    /// Nil unless a mixture says it.
    private var loadViolationChart: LineChart? {
        let series = runs.enumerated().compactMap { index, run -> LineChart.Series? in
            let values = run.history.updates.compactMap { update in
                update.loadViolation.joined().max().map { (update: update.update, value: $0) }
            }
            return values.isEmpty ? nil : .init(mark: mark(index), run: run.name, values: values)
        }
        guard !series.isEmpty else { return nil }
        return LineChart(
            title: "Load violation",
            note: "Rows of the busiest expert over the mean of those that its gate sees, in the most uneven block and stratum.",
            measure: "busiest over mean", extent: .from(1), series: series, format: { NumberText.decimal($0, 2) })
    }

    private var requestedCapacityChart: LineChart {
        LineChart(
            title: "Requested capacity", note: "RC: strata passed by a token, the mean over tokens and blocks.",
            measure: "RC (strata)", extent: .from(1),
            series: trained(mixturesOnly: true, part: "training", \.requestedCapacity)
                + validated(mixturesOnly: true, \.validRequestedCapacity),
            format: { NumberText.decimal($0, 3) })
    }

    private var droppedChart: LineChart {
        LineChart(
            title: "Dropped choices", note: "Choices of an expert beyond its capacity, of all choices in training.",
            measure: "dropped (%)", extent: .from(0),
            series: trained(mixturesOnly: true) { $0.droppedFraction * 100 }, format: { NumberText.decimal($0, 2) + "%" })
    }

    /// A chart of each figure that blocks report, by whatever name.
    private var figureCharts: [LineChart] {
        var names: [String] = []
        for run in runs where !run.isDense {
            for name in run.history.figureNames where !names.contains(name) { names.append(name) }
        }
        return names.map { name in
            let title = runs.lazy.compactMap { $0.figureTitles[name] }.first ?? name.replacing("_", with: " ")
            return LineChart(
                title: title.prefix(1).uppercased() + title.dropFirst(),
                note: "\(name) in metrics.jsonl: before its weight, over blocks and token groups.", measure: title,
                series: runs.enumerated().filter { !$0.element.isDense && $0.element.history.figureNames.contains(name) }.map {
                    index, run in
                    .init(
                        mark: mark(index), run: run.name,
                        values: run.history.updates.compactMap { update in update.figure(name).map { (update.update, $0) } })
                })
        }
    }
}
