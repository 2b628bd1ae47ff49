import Evaluation

extension Report {
    /// The paper's Figures 2, 4 and 3.
    var requestedCapacity: Section {
        let analysed = runs.filter { $0.analysis != nil }
        var charts: [Figure] = [directionChart("encoder") { $0.encoder }, directionChart("decoder") { $0.decoder }]
            .compactMap { $0?.figure() }
        if !analysed.isEmpty {
            if let figure = blockChart.figure() { charts.append(figure) }
            for (index, run) in runs.enumerated() {
                if let analysis = run.analysis, let figure = rankChart(index, analysis)?.figure() { charts.append(figure) }
            }
        }
        let children =
            (charts.isEmpty ? [] : [Self.grid(charts)]) + analysisNote
            + withoutAnalysis(of: "requested capacity by block and token")
        return Section(id: "capacity", title: "Requested capacity", children: children)
    }

    /// Says of which model, and of which text, the analyses are.
    var analysisNote: [Markup] {
        let places = runs.compactMap { run in
            run.analysis.map { analysis in
                let text = analysis.text == "files" ? "text of files" : "split \(analysis.text)"
                return "\(run.name): analysed at update \(NumberText.count(analysis.step)), \(text)"
            }
        }
        return places.isEmpty ? [] : [.element("p", ["class": "note"], [.text(places.joined(separator: "; ") + ".")])]
    }

    /// Says of which runs there is no analysis, and why.
    func withoutAnalysis(of subject: String) -> [Markup] {
        let dense = runs.filter(\.isDense), missing = runs.filter { !$0.isDense && $0.analysis == nil }
        var texts: [String] = []
        if !missing.isEmpty { texts.append("\(Self.names(missing)): no \(subject); strata analyze RUN writes it.") }
        if !dense.isEmpty { texts.append("\(Self.names(dense)): no \(subject): a dense model has no experts.") }
        return texts.map(Self.absent)
    }

    /// RC of each direction: as analysed, or else as evaluated.
    private func capacities(_ run: RunFigures) -> [String: RoutingAnalysis.Sides] {
        if let analysis = run.analysis {
            return analysis.rcByDirection.reduce(into: [:]) {
                $0[$1.direction] = .init(encoder: $1.encoder, decoder: $1.decoder)
            }
        }
        guard let result = splits.lazy.compactMap(run.evaluation).first else { return [:] }
        return result.directions.compactMapValues { scores in
            guard let encoder = scores.encoderRequestedCapacity, let decoder = scores.decoderRequestedCapacity else {
                return nil
            }
            return .init(encoder: encoder, decoder: decoder)
        }
    }

    /// Directions that any run has figures for, in the order of training.
    func ordered(_ directions: Set<String>) -> [String] {
        var known = Set<String>()
        let trained = runs.flatMap(\.directions).filter { directions.contains($0) && known.insert($0).inserted }
        return trained + directions.subtracting(known).sorted()
    }

    private func directionChart(_ side: String, _ value: (RoutingAnalysis.Sides) -> Double) -> BarChart? {
        let found = runs.map(capacities)
        let directions = ordered(Set(found.flatMap(\.keys)))
        guard !directions.isEmpty else { return nil }
        return BarChart(
            title: "RC by direction, \(side)",
            note: "Strata that a token passes in the \(side)'s blocks, on average, with the reference given. "
                + "Bars begin at 1, the least.",
            subject: "direction", categories: directions, measure: "RC (strata)", baseline: 1,
            reaches: found.flatMap(\.values).map { max($0.encoder, $0.decoder) }.max(),
            series: runs.indices.filter { !found[$0].isEmpty }.map { index in
                .init(mark: mark(index), label: runs[index].name, values: directions.map { found[index][$0].map(value) })
            }, format: { NumberText.decimal($0, 2) })
    }

    private var blockChart: BarChart {
        let found = runs.map { run -> [BlockName: (strataPassed: Int, tokens: Int)] in
            var sums: [BlockName: (strataPassed: Int, tokens: Int)] = [:]
            for row in run.analysis?.rcByBlock ?? [] {
                let block = BlockName(side: row.side, layer: row.layer)
                sums[block, default: (0, 0)].strataPassed += row.strataPassed
                sums[block, default: (0, 0)].tokens += row.tokens
            }
            return sums
        }
        let blocks = Set(found.flatMap(\.keys)).sorted()
        return BarChart(
            title: "RC by block", note: "Over the tokens of all directions. Layers count from 0. Bars begin at 1, the least.",
            subject: "block", categories: blocks.map(\.description), measure: "RC (strata)", baseline: 1,
            series: runs.indices.filter { runs[$0].analysis != nil }.map { index in
                .init(
                    mark: mark(index), label: runs[index].name,
                    values: blocks.map { block in
                        found[index][block].flatMap { $0.tokens > 0 ? Double($0.strataPassed) / Double($0.tokens) : nil }
                    })
            }, format: { NumberText.decimal($0, 2) })
    }

    /// Nil where no token was frequent enough, or all are the same: a model may have but one way.
    private func rankChart(_ index: Int, _ analysis: RoutingAnalysis) -> ViolinChart? {
        let blocks = Set(analysis.tokenExtremes.map { BlockName(side: $0.side, layer: $0.layer) }).sorted()
        func rows(_ block: BlockName) -> [RoutingAnalysis.TokenExtremes] {
            analysis.tokenExtremes.filter { $0.side == block.side && $0.layer == block.layer }
        }
        func series(
            _ label: String, isLight: Bool, _ tokens: (RoutingAnalysis.TokenExtremes) -> [RoutingAnalysis.TokenCapacity]
        )
            -> ViolinChart.Series
        {
            .init(
                isLight: isLight, label: label,
                values: blocks.map { rows($0).flatMap(tokens).map { Double(max($0.frequencyRank, 1)) } },
                details: blocks.map { Self.commonest(rows($0).flatMap(tokens)) })
        }
        let capacities = Set(analysis.tokenExtremes.flatMap { $0.highest + $0.lowest }.map(\.rc))
        guard capacities.count > 1 else { return nil }
        let limit = RoutingAnalysis.TokenExtremes.limit, text = analysis.frequencySource == .training ? "training" : "analysed"
        return ViolinChart(
            title: "Frequency of tokens of high and low RC\(runs.count > 1 ? ": \(runs[index].name)" : "")",
            note: "Frequency ranks, 1 the most frequent in the \(text) text, of each direction's \(limit) tokens of highest "
                + "and of lowest RC, all directions together. Dot: median; line: quartiles.",
            subject: "block", categories: blocks.map(\.description), measure: "frequency rank", mark: mark(index),
            series: [
                series("highest RC", isLight: false) { $0.highest }, series("lowest RC", isLight: true) { $0.lowest },
            ],
            table: rankTable(analysis))
    }

    /// The tokens that are among the extremes of most directions.
    private static func commonest(_ tokens: [RoutingAnalysis.TokenCapacity]) -> String {
        var counts: [String: Int] = [:]
        for token in tokens { counts[token.piece, default: 0] += 1 }
        let names = counts.sorted { ($1.value, $0.key) < ($0.value, $1.key) }.map(\.key)
        return names.prefix(12).joined(separator: "  ") + (names.count > 12 ? " …" : "")
    }

    private func rankTable(_ analysis: RoutingAnalysis) -> DataTable {
        func median(_ tokens: [RoutingAnalysis.TokenCapacity]) -> String {
            guard !tokens.isEmpty else { return "–" }
            return NumberText.figure(KernelDensity.quantile(0.5, of: tokens.map { Double($0.frequencyRank) }.sorted()))
        }
        return DataTable(
            header: ["direction", "block", "median rank, highest RC", "median rank, lowest RC", "highest RC", "lowest RC"],
            rows: analysis.tokenExtremes.map { row in
                [
                    row.direction, "\(BlockName(side: row.side, layer: row.layer))", median(row.highest), median(row.lowest),
                    row.highest.map(\.piece).joined(separator: "  "), row.lowest.map(\.piece).joined(separator: "  "),
                ]
            })
    }
}
