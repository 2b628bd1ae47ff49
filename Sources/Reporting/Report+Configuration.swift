extension Report {
    var configuration: Section {
        var children: [Markup] = []
        if runs.count > 1 {
            let table = differences
            children.append(
                table.rows.isEmpty ? .element("p", [:], ["The configurations are the same."]) : table.markup)
        }
        for run in runs {
            let table = DataTable(header: ["key", "value"], rows: run.configuration.map { [$0.path, $0.value] })
            let summary = runs.count > 1 ? "The whole configuration of \(run.name)" : "The whole configuration"
            children.append(.element("details", [:], [.element("summary", [:], [.text(summary)]), table.markup]))
        }
        let title = runs.count > 1 ? "Configuration: what differs" : "Configuration"
        return Section(id: "configuration", title: title, children: children)
    }

    /// The keys whose values are not the same in all runs, in the order of the first run that has them.
    var differences: DataTable {
        let values = runs.map { Dictionary($0.configuration.map { ($0.path, $0.value) }) { $1 } }
        var known = Set<String>()
        let paths = runs.flatMap { $0.configuration.map(\.path) }.filter { known.insert($0).inserted }
        return DataTable(
            header: ["key"] + runs.map(\.name),
            rows: paths.filter { path in Set(values.map { $0[path] }).count > 1 }.map { path in
                [path] + values.map { $0[path] ?? "not set" }
            })
    }
}
