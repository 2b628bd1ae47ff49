import Evaluation
import Foundation

extension Report {
    /// What the gates did with an analysed text.
    var routing: Section {
        var charts = [entropyChart, dropChart].compactMap { $0.figure() }
        for (index, run) in runs.enumerated() {
            if let analysis = run.analysis { charts += coActivationMaps(index, analysis).map { $0.figure() } }
        }
        var children = (charts.isEmpty ? [] : [Self.grid(charts)]) + analysisNote
        for run in runs {
            guard let analysis = run.analysis else { continue }
            if analysis.capacityFactor == nil {
                children.append(Self.absent("\(run.name): training is dropless, no choice is dropped."))
            }
            if analysis.strata.count < 2 {
                children.append(Self.absent("\(run.name): one stratum, so no experts of later strata to act together with."))
            }
        }
        return Section(id: "routing", title: "Gates", children: children + withoutAnalysis(of: "analysis of gates"))
    }

    /// A figure of every gate of every run, computed from that gate's rows.
    private func gateSeries<Row>(
        _ rows: (RoutingAnalysis) -> [Row], _ gate: (Row) -> GateName, _ figure: ([Row]) -> Double?
    ) -> (gates: [GateName], series: [BarChart.Series]) {
        let found = runs.map { run in Dictionary(grouping: run.analysis.map(rows) ?? [], by: gate) }
        let gates = Set(found.flatMap(\.keys)).sorted()
        let series = runs.indices.filter { !found[$0].isEmpty }.map { index in
            BarChart.Series(
                mark: mark(index), label: runs[index].name, values: gates.map { gate in found[index][gate].flatMap(figure) })
        }
        return (gates, series)
    }

    private var entropyChart: BarChart {
        let (gates, series) = gateSeries(\.gateEntropy, { GateName($0.side, $0.layer, $0.gate) }) { rows -> Double? in
            let tokens = rows.reduce(0) { $0 + $1.tokens }
            guard tokens > 0, let experts = rows.first?.experts, experts > 1 else { return nil }
            return rows.reduce(0) { $0 + $1.entropy * Double($1.tokens) } / (Double(tokens) * log(Double(experts)))
        }
        return BarChart(
            title: "Gate entropy",
            note: "How undecided gates are: the mean entropy of their probabilities over its largest, ln of the experts seen. "
                + "0: one expert is certain; 1: all are alike.",
            subject: "gate", categories: gates.map(\.description), measure: "entropy / ln(experts)", series: series,
            format: { NumberText.decimal($0, 3) })
    }

    private var dropChart: BarChart {
        func drops(_ analysis: RoutingAnalysis) -> [RoutingAnalysis.GateDrops] {
            analysis.capacityFactor == nil ? [] : analysis.drops
        }
        let (gates, series) = gateSeries(drops, { GateName($0.side, $0.layer, $0.gate) }) { rows -> Double? in
            let choices = rows.reduce(0) { $0 + $1.choices }
            return choices > 0 ? 100 * Double(rows.reduce(0) { $0 + $1.wouldBeDropped }) / Double(choices) : nil
        }
        return BarChart(
            title: "Choices that training's capacity would drop",
            note: "Of all choices of the analysed text, which itself is routed without a limit.",
            subject: "gate", categories: gates.map(\.description), measure: "dropped (%)", series: series,
            format: { NumberText.decimal($0, 2) + "%" })
    }

    /// A map a block; none for a single stratum.
    private func coActivationMaps(_ index: Int, _ analysis: RoutingAnalysis) -> [HeatMap] {
        guard analysis.strata.count > 1 else { return [] }
        let rows = Dictionary(grouping: analysis.coActivation) { BlockName(side: $0.side, layer: $0.layer) }
        return rows.keys.sorted().map { block in
            let strata = analysis.strata(of: block.side), experts = strata.reduce(0, +)
            // No later gate sees the experts of the first stratum.
            let later = strata[0]..<experts
            var counts = [[Int]](repeating: [Int](repeating: 0, count: later.count), count: experts)
            for row in rows[block] ?? [] {
                for (first, line) in row.counts.prefix(experts).enumerated() {
                    for (second, count) in line.enumerated() where later.contains(second) {
                        counts[first][second - later.lowerBound] += count
                    }
                }
            }
            let place = runs.count > 1 ? "\(runs[index].name), \(block)" : "\(block)"
            return coActivationMap(place, (0..<experts).map(String.init), later.map(String.init), counts)
        }
    }

    private func coActivationMap(_ place: String, _ experts: [String], _ later: [String], _ counts: [[Int]]) -> HeatMap {
        let shares = counts.map { row -> [Double?] in
            let sum = row.reduce(0, +)
            return row.map { sum > 0 ? 100 * Double($0) / Double(sum) : nil }
        }
        return HeatMap(
            title: "Experts that act together: \(place)",
            note: "Of the tokens that a gate sent to one expert (row), the share that a later gate sent to another (column). "
                + "An empty row sent none on.",
            horizontal: .categories(later), horizontalTitle: "expert, later gate",
            columns: later.indices.map { Double($0)...Double($0) + 1 }, rows: experts, rowsTitle: "expert, earlier gate",
            values: shares, measure: "% of the row", scale: .linear(0...max(shares.joined().compactMap { $0 }.max() ?? 1, 1)),
            tooltip: { row, column in
                "expert \(experts[row]), later expert \(later[column])\n\(NumberText.count(counts[row][column])) tokens, "
                    + "\(NumberText.decimal(shares[row][column] ?? 0, 1))% of the row"
            },
            table: DataTable(
                header: ["tokens: earlier expert"] + later.map { "then \($0)" },
                rows: experts.indices.map { [experts[$0]] + counts[$0].map(NumberText.count) }))
    }
}
