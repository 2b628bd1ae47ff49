import Evaluation

extension Report {
    var translation: Section {
        var children: [Markup] = []
        for split in splits {
            children.append(.element("h3", ["class": "run"], [.text("Split \(split)")]))
            if let figure = bleuBars(split).figure() { children.append(Self.grid([figure])) }
            children.append(scoreTable(split).markup)
            children.append(.element("p", ["class": "note"], [.text(scoreNote(split))]))
        }
        let missing = runs.filter(\.evaluations.isEmpty)
        if !missing.isEmpty {
            children.append(Self.absent("\(Self.names(missing)): not evaluated; strata evaluate RUN writes the scores."))
        }
        return Section(id: "translation", title: "Translation quality", children: children)
    }

    private func scored(_ split: String) -> [(index: Int, result: EvaluationResult)] {
        runs.indices.compactMap { index in runs[index].evaluation(split).map { (index, $0) } }
    }

    /// The directions of a split, and after them `average`.
    private func scores(_ result: EvaluationResult, _ directions: [String]) -> [EvaluationResult.Scores?] {
        directions.map { result.directions[$0] } + [result.average]
    }

    private func bleuBars(_ split: String) -> BarChart {
        let scored = scored(split), directions = ordered(Set(scored.flatMap(\.result.directions.keys)))
        return BarChart(
            title: "BLEU by direction", note: "Split \(split); the average counts every direction of a run once.",
            subject: "direction", categories: directions + ["average"], measure: "BLEU",
            series: scored.map { index, result in
                .init(mark: mark(index), label: runs[index].name, values: scores(result, directions).map { $0?.bleu })
            }, format: { NumberText.decimal($0, 2) })
    }

    func scoreTable(_ split: String) -> DataTable {
        let scored = scored(split), directions = ordered(Set(scored.flatMap(\.result.directions.keys)))
        func columns(_ name: String) -> [String] { ["BLEU", "chrF2", "exact"].map { runs.count > 1 ? "\(name): \($0)" : $0 } }
        func cells(_ scores: EvaluationResult.Scores) -> [String] {
            [NumberText.decimal(scores.bleu, 2), NumberText.decimal(scores.chrf, 2), NumberText.decimal(scores.exact, 1) + "%"]
        }
        let columnsOfRuns = scored.map { scores($0.result, directions) }
        return DataTable(
            header: ["direction"] + scored.flatMap { columns(runs[$0.index].name) },
            rows: (directions + ["average"]).enumerated().map { row, name in
                [name] + columnsOfRuns.flatMap { $0[row].map(cells) ?? ["–", "–", "–"] }
            })
    }

    private func scoreNote(_ split: String) -> String {
        let scored = scored(split)
        let places = scored.map { index, result in
            "\(runs[index].name) at update \(NumberText.count(result.update))"
                + (result.ofAverage == true ? ", moving average of the parameters" : "") + ", beam \(result.beam)"
        }
        let signatures = Set(scored.map(\.result.signature)).sorted()
        return places.joined(separator: "; ") + ". BLEU: " + signatures.joined(separator: "; ")
    }
}
