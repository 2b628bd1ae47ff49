import Training

extension Report {
    /// The cells that a heat map should have at most, and the bounds of its columns whatever the rows.
    private static let loadCells = (most: 900, fewestColumns: 20, mostColumns: 60)

    var expertLoad: Section {
        let mixtures = runs.filter { !$0.isDense }.map { (run: $0, shares: loadShares($0)) }
        let scale = AxisScale.linear(0...max(1, mixtures.compactMap(\.shares?.largest).max() ?? 1))
        let maps = mixtures.flatMap { run, shares -> [Figure] in
            guard let shares else { return [] }
            return shares.strata.enumerated().map { loadMap(run, $0, $1, shares.bins, scale).figure() }
        }
        var children = maps.isEmpty ? [] : [Self.grid(maps)]
        for (run, shares) in mixtures where shares == nil {
            children.append(Self.absent("\(run.name): no update is done yet."))
        }
        children += mixtures.compactMap { existingExperts($0.run) }
        let dense = runs.filter(\.isDense)
        if !dense.isEmpty { children.append(Self.absent("\(Self.names(dense)): a dense model has no experts.")) }
        return Section(id: "load", title: "Expert load in training", children: children)
    }

    /// Which experts of each block exist, as the run's analysis says; nil where they neither come nor go, or there is none.
    private func existingExperts(_ run: RunFigures) -> Markup? {
        guard let analysis = run.analysis, let blocks = analysis.existingExperts else { return nil }
        return DataTable(
            header: ["\(run.name), update \(NumberText.count(analysis.step))", "experts", "global ids"],
            rows: blocks.map { block in
                [
                    BlockName(side: block.side, layer: block.layer).description, NumberText.count(block.experts.count),
                    block.experts.map(String.init).joined(separator: " "),
                ]
            }
        ).markup
    }

    private struct LoadShares {
        var bins: UpdateBins
        /// Loads, [stratum][visible expert][bin]: rows over those of a uniform load; nil where the gate sent none.
        var strata: [[[Double?]]]
        var largest: Double { strata.joined().joined().compactMap { $0 }.max() ?? 1 }
    }

    /// The loads of a run; nil before the first update.
    private func loadShares(_ run: RunFigures) -> LoadShares? {
        let updates = run.history.updates.filter { $0.load.count == run.gates.count }
        guard let first = updates.first?.update, let last = updates.last?.update else { return nil }
        let experts = run.gates.map(\.upperBound).max() ?? 0
        let columns = min(max(Self.loadCells.most / max(experts, 1), Self.loadCells.fewestColumns), Self.loadCells.mostColumns)
        let bins = UpdateBins(first...last, atMost: columns)
        var sums = run.gates.map { _ in [[Int]](repeating: [Int](repeating: 0, count: bins.count), count: experts) }
        for update in updates {
            let bin = bins.index(of: update.update)
            for (stratum, rows) in update.load.enumerated() {
                for (expert, count) in rows.enumerated() where expert < experts { sums[stratum][expert][bin] += count }
            }
        }
        let strata = run.gates.enumerated().map { stratum, visible -> [[Double?]] in
            let totals = (0..<bins.count).map { bin in visible.reduce(0) { $0 + sums[stratum][$1][bin] } }
            return visible.map { expert in
                (0..<bins.count).map { bin in
                    totals[bin] > 0 ? Double(sums[stratum][expert][bin]) * Double(visible.count) / Double(totals[bin]) : nil
                }
            }
        }
        return LoadShares(bins: bins, strata: strata)
    }

    private func loadMap(
        _ run: RunFigures, _ stratum: Int, _ values: [[Double?]], _ bins: UpdateBins, _ scale: AxisScale
    ) -> HeatMap {
        let experts = run.gates[stratum].map(String.init)
        let columns = (0..<bins.count).map { index in
            let range = bins.updates(of: index)
            return Double(range.lowerBound) - 0.5...Double(range.upperBound) + 0.5
        }
        let updates = AxisScale.updates(Double(bins.updates.lowerBound) - 0.5...Double(bins.updates.upperBound) + 0.5)
        func text(_ value: Double?) -> String { value.map { NumberText.decimal($0, 2) } ?? "–" }
        return HeatMap(
            title: "\(run.name), stratum \(stratum)",
            note: "Rows that the gate of stratum \(stratum) sent to each expert it sees, over those of a uniform load"
                + (bins.width > 1 ? ", in \(NumberText.count(bins.width)) updates together." : "."),
            horizontal: .scale(updates), horizontalTitle: "update", columns: columns, rows: experts, rowsTitle: "expert",
            values: values, measure: "× uniform load", scale: scale,
            tooltip: { "expert \(experts[$0]), updates \(bins.label($1))\n\(text(values[$0][$1])) × uniform load" },
            table: DataTable(
                header: ["updates"] + experts.map { "expert \($0)" },
                rows: (0..<bins.count).map { bin in [bins.label(bin)] + values.map { text($0[bin]) } }))
    }
}
