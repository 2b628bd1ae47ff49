import Foundation
import Testing

@testable import Reporting

@Suite struct ReportTests {
    private func page(_ report: Report) throws -> PageNode { try PageNode(report.html) }

    private func titles(_ page: PageNode, _ section: String) -> [String] {
        page.all("section").first { $0.attributes["id"] == section }?.all("figure").map { $0.all("h3")[0].text } ?? []
    }

    private func absences(_ page: PageNode, _ section: String) -> [String] {
        page.all("section").first { $0.attributes["id"] == section }?.all("p", "absent").map { $0.text } ?? []
    }

    @Test func aRunIsShownWhole() throws {
        let page = try page(ReportedRuns.report(ReportedRuns.mixture()))
        #expect(
            page.all("h2").map(\.text) == [
                "Summary", "Training", "Expert load in training", "Requested capacity", "Gates", "Translation quality",
                "Configuration",
            ])
        #expect(
            titles(page, "curves") == [
                "Loss", "Validation perplexity", "Learning rate", "Gradient norm", "Speed", "Requested capacity",
                "Dropped choices",
                "Load-balancing loss",
            ])
        #expect(titles(page, "load") == ["smoe, stratum 0", "smoe, stratum 1"])
        #expect(
            titles(page, "capacity") == [
                "RC by direction, encoder", "RC by direction, decoder", "RC by block", "Frequency of tokens of high and low RC",
            ])
        #expect(
            titles(page, "routing") == [
                "Gate entropy", "Choices that training's capacity would drop", "Experts that act together: enc 1",
                "Experts that act together: dec 1",
            ])
        #expect(titles(page, "translation") == ["BLEU by direction"])
        #expect(page.all("p", "absent").isEmpty)
        #expect(page.all("script").isEmpty && page.all("button").isEmpty, "one run has nothing to hide")
        for figure in page.all("figure") {
            #expect(!figure.all("svg", "plot").isEmpty && figure.all("details").count == 1)
            #expect(figure.all("svg", "plot")[0].all("text", "title").count == 2, "both axes have a title")
        }
        for link in page.all("nav")[0].all("a") {
            let id = String(link.attributes["href"]!.dropFirst())
            #expect(page.all("section").contains { $0.attributes["id"] == id })
        }
    }

    private func figure(_ page: PageNode, _ title: String) -> PageNode? {
        page.all("section").first { $0.attributes["id"] == "curves" }?.all("figure").first { $0.all("h3")[0].text == title }
    }

    /// By whatever name: a report knows none of them. Dense models of earlier versions logged a load-balancing loss of 0.
    @Test func everyFigureOfBlocksHasAChart() throws {
        var other = try ReportedRuns.mixture(name: "other"), dense = ReportedRuns.dense()
        other.history = ReportedRuns.history(figures: ["aux": "1.2", "strange_figure": "3.5"])
        dense.history = ReportedRuns.history(load: [], figures: ["aux": "0"])
        let page = try page(ReportedRuns.report(dense, ReportedRuns.mixture(), other))
        #expect(titles(page, "curves").suffix(3) == ["Dropped choices", "Load-balancing loss", "Strange figure"])
        func tooltips(_ title: String) throws -> [String] {
            try #require(figure(page, title)).all("rect", "column").map(\.tooltip)
        }
        #expect(try tooltips("Load-balancing loss").last == "update 20\nsmoe: 1.100\nother: 1.200")
        #expect(try tooltips("Strange figure").last == "update 20\nother: 3.500")
    }

    /// Lines of earlier versions do not say them.
    @Test func utilizationAndLoadViolationHaveChartsWhereTheyAreKnown() throws {
        var run = try ReportedRuns.mixture()
        run.history = ReportedRuns.history(
            figures: [
                "aux": "1.1", "flops_utilization": "0.625", "load_violation": "[[1.5,1],[1.25,3.5]]", "seconds_left": "7",
            ])
        let page = try page(ReportedRuns.report(run, ReportedRuns.mixture(name: "old")))
        #expect(figure(page, "Model FLOPs utilization")?.all("rect", "column").last?.tooltip == "update 20\nsmoe: 62.5%")
        #expect(figure(page, "Load violation")?.all("rect", "column").last?.tooltip == "update 20\nsmoe: 3.50")
        #expect(figure(page, "Flops utilization") == nil && figure(page, "Seconds left") == nil, "no figures of blocks")
    }

    @Test func theSummary() throws {
        let table = try ReportedRuns.report(ReportedRuns.dense(), ReportedRuns.mixture(), ReportedRuns.begun()).summaryTable
        #expect(
            table.header == [
                "run", "method", "parameters", "MFLOPs/token", "updates", "loss", "validation perplexity", "BLEU, test", "RC",
                "dropped", "target tokens/s", "training time",
            ])
        #expect(
            table.rows == [
                [
                    "dense", "dense", "60,000,000", "167.0", "20 of 40", "0.4105", "4.500 (at 20)", "37.83 (at 20)", "–", "–",
                    "1,000", "2s",
                ],
                [
                    "smoe", "SMoE-2-2", "73,165,824", "217", "20 of 20", "0.4105", "4.500 (at 20)", "40.40 (at 20)", "1.25",
                    "5.0%",
                    "1,000", "2s",
                ],
                ["begun", "SMoE-2-2", "–", "–", "0 of 1,000", "–", "–", "–", "–", "–", "–", "–"],
            ])
    }

    @Test func whatIsMissingIsSaid() throws {
        var run = try ReportedRuns.mixture()
        run.analysis = nil
        run.evaluations = []
        let page = try page(ReportedRuns.report(ReportedRuns.dense(), run, ReportedRuns.begun()))
        #expect(absences(page, "summary") == ["begun: metrics.jsonl has no update yet."])
        #expect(absences(page, "curves") == ["dense: a dense model has no experts, and so no RC, drops, load or gates."])
        #expect(absences(page, "load") == ["begun: no update is done yet.", "dense: a dense model has no experts."])
        #expect(
            absences(page, "capacity") == [
                "smoe, begun: no requested capacity by block and token; strata analyze RUN writes it.",
                "dense: no requested capacity by block and token: a dense model has no experts.",
            ])
        #expect(absences(page, "translation") == ["smoe, begun: not evaluated; strata evaluate RUN writes the scores."])
        #expect(titles(page, "capacity").isEmpty && titles(page, "routing").isEmpty)
    }

    @Test func analysesSayOfWhatTheyAre() throws {
        var late = try ReportedRuns.mixture(name: "late")
        late.analysis?.step = 4000
        late.analysis?.text = "files"
        let runs = [try ReportedRuns.mixture(), ReportedRuns.dense(), late]
        let analysis = try #require(runs[0].analysis), page = try page(Report(runs: runs, date: ""))
        for id in ["capacity", "routing"] {
            let notes = page.all("section").first { $0.attributes["id"] == id }?.all("p", "note").map(\.text) ?? []
            #expect(
                notes.contains(
                    "smoe: analysed at update \(analysis.step), split \(analysis.text); late: analysed at update 4,000, text of files."
                ))
        }
    }

    @Test func aDenseModelHasNoSectionsOnExperts() throws {
        let page = try page(ReportedRuns.report(ReportedRuns.dense()))
        #expect(page.all("h2").map(\.text) == ["Summary", "Training", "Translation quality", "Configuration"])
    }

    @Test func aRunWithoutFiguresIsAPage() throws {
        let page = try page(ReportedRuns.report(ReportedRuns.begun()))
        #expect(page.all("figure").isEmpty)
        #expect(absences(page, "curves") == ["No update is done yet."])
    }

    @Test func evaluationTellsCapacityWhereNothingWasAnalysed() throws {
        var run = try ReportedRuns.mixture()
        run.analysis = nil
        let page = try page(ReportedRuns.report(run))
        #expect(titles(page, "capacity") == ["RC by direction, encoder", "RC by direction, decoder"])
        #expect(
            page.all("rect", "bar").prefix(4).map(\.tooltip) == [
                "eng-cat\nsmoe: 1.50", "cat-eng\nsmoe: 1.50", "eng-cat\nsmoe: 2.00", "cat-eng\nsmoe: 2.00",
            ])
    }

    @Test func loadIsOverThatOfAUniformGate() throws {
        let page = try page(ReportedRuns.report(ReportedRuns.mixture()))
        let maps = page.all("section").first { $0.attributes["id"] == "load" }!.all("figure").map { $0.all("svg", "plot")[0] }
        // Four experts with 3, 1, 2, 2 of 8 rows; two with 4 and 0 of 4, of which the second stratum's gate sees no others.
        let loads = [[1.5, 0.5, 1, 1], [2, 0]]
        for (map, loads) in zip(maps, loads) {
            let cells = map.all("rect", "cell")
            #expect(cells.count == loads.count * 20)
            let colours = loads.flatMap { [String](repeating: SequentialScale.colour($0 / 2), count: 20) }
            #expect(cells.map { $0.attributes["fill"]! } == colours)
        }
        #expect(maps[1].all("rect", "cell")[0].tooltip == "expert 2, updates 1\n2.00 × uniform load")
    }

    @Test func theAnalysisIsSummedOverDirections() throws {
        let page = try page(ReportedRuns.report(ReportedRuns.mixture()))
        let bars = page.all("rect", "bar").map(\.tooltip)
        #expect(
            bars.filter { $0.hasPrefix("enc 1\n") || $0.hasPrefix("dec 1\n") } == ["enc 1\nsmoe: 1.25", "dec 1\nsmoe: 1.50"])
        // 1.1 nats of ln 4, 0.5 of ln 2; 1 choice of 16.
        #expect(
            bars.filter { $0.hasPrefix("enc 1 gate") } == [
                "enc 1 gate 0\nsmoe: 0.793", "enc 1 gate 1\nsmoe: 0.721", "enc 1 gate 0\nsmoe: 6.25%",
                "enc 1 gate 1\nsmoe: 0.00%",
            ])
        let together = page.all("rect", "cell").map(\.tooltip)
        #expect(together.contains("expert 1, later expert 2\n2 tokens, 50.0% of the row"))
        #expect(!together.contains { $0.hasPrefix("expert 2, later") }, "an expert that sent nothing on has no shares")
    }

    @Test func lossesAreComparedUpdateByUpdate() throws {
        func run(_ name: String, _ losses: [(Int, String)]) -> RunFigures {
            var run = ReportedRuns.dense(name: name)
            let lines = losses.map { MetricsLine.update($0.0, loss: $0.1, load: []) + "\n" }
            run.history = TrainingHistory(jsonLines: Data(lines.joined().utf8))
            return run
        }
        let first = run("first", [(1, "4"), (2, "3"), (3, "2")])
        let page = try page(
            ReportedRuns.report(first, run("other", [(2, "2.75"), (3, "2.5"), (4, "1")]), run("later", [(4, "1")])))
        let chart = try #require(
            page.all("section").first { $0.attributes["id"] == "curves" }?.all("figure").first {
                $0.all("h3")[0].text == "Loss, less that of first"
            })
        #expect(chart.all("rect", "column").map(\.tooltip) == ["update 2\nother: -0.2500", "update 3\nother: 0.5000"])
        #expect(!titles(try self.page(ReportedRuns.report(first)), "curves").contains { $0.hasPrefix("Loss, less") })
    }

    @Test func runsKeepTheirColour() throws {
        let page = try page(ReportedRuns.report(ReportedRuns.dense(), ReportedRuns.mixture()))
        let marks = page.all("g", "marks")
        for (index, other) in [(0, 1), (1, 0)] {
            let own = marks.flatMap { chart in ["path", "circle", "rect"].flatMap { chart.all($0, "run-\(index)") } }
            #expect(own.count > 10)
            let classes = own.map { $0.attributes["class"]! }
            #expect(classes.allSatisfy { $0.contains("c\(index)") && !$0.contains("c\(other)") })
        }
        #expect(page.all("button").map(\.text) == ["dense", "smoe"])
        #expect(page.all("button").map { $0.attributes["data-run"] } == ["0", "1"])
    }

    @Test func severalEvaluationsAreACurve() throws {
        var run = try ReportedRuns.mixture()
        run.evaluations = [ReportedRuns.evaluation(40).replacing(ReportedRuns.evaluation(30, update: 10))]
        let page = try page(ReportedRuns.report(run))
        let figure = try #require(page.all("figure").first { $0.all("h3")[0].text == "Average BLEU" })
        #expect(figure.all("g", "marks")[0].all("circle", "dot").count == 2)
        #expect(figure.all("tbody")[0].all("td").map(\.text) == ["30.00", "40.00"])
    }

    @Test func configurationsAreCompared() throws {
        let differences = try ReportedRuns.report(ReportedRuns.dense(), ReportedRuns.mixture()).differences
        #expect(differences.header == ["key", "dense", "smoe"])
        #expect(differences.rows == [["model.moe", "none", "not set"], ["model.moe.strata", "not set", "[2, 2]"]])
    }

    /// Of a model with one stratum: no token has a higher RC than another.
    @Test func capacitiesThatAreAllTheSameHaveNoFrequencies() throws {
        var run = try ReportedRuns.mixture()
        for index in run.analysis!.tokenExtremes.indices {
            let extremes = run.analysis!.tokenExtremes[index]
            for place in extremes.highest.indices { run.analysis!.tokenExtremes[index].highest[place].rc = 1 }
            for place in extremes.lowest.indices { run.analysis!.tokenExtremes[index].lowest[place].rc = 1 }
        }
        #expect(
            try titles(page(ReportedRuns.report(run)), "capacity") == [
                "RC by direction, encoder", "RC by direction, decoder", "RC by block",
            ])
    }

    @Test func namesAreNoMarkup() throws {
        let hostile = "<script>alert(1)</script>\" onload=\"x&'"
        var run = try ReportedRuns.mixture(name: hostile)
        run.method = hostile
        run.configuration = [(hostile, hostile)]
        run.problems = [hostile]
        run.directions = [hostile]
        run.evaluations[0].directions = [hostile: run.evaluations[0].average]
        run.evaluations[0].signature = hostile
        for index in run.analysis!.tokenExtremes.indices {
            for place in run.analysis!.tokenExtremes[index].highest.indices {
                run.analysis!.tokenExtremes[index].highest[place].piece = hostile
            }
            run.analysis!.tokenExtremes[index].direction = hostile
        }
        let page = try page(ReportedRuns.report(run))
        #expect(page.all("script").isEmpty && page.text.components(separatedBy: hostile).count > 10)
        func attributes(_ node: PageNode) -> Set<String> {
            node.children.reduce(into: Set(node.attributes.keys)) { $0.formUnion(attributes($1)) }
        }
        #expect(!attributes(page).contains { $0.hasPrefix("on") })
    }

    @Test func nothingIsLoaded() throws {
        let report = try ReportedRuns.report(ReportedRuns.dense(), ReportedRuns.mixture())
        let html = report.html
        for text in ["http:", "https:", "src=", "url(", "@import", "<link", "<img", "<iframe"] {
            #expect(!html.contains(text), "\(text)")
        }
        #expect(try page(report).all("a").allSatisfy { $0.attributes["href"]!.hasPrefix("#") })
    }

    @Test func aLongRunIsASmallFile() throws {
        var run = try ReportedRuns.mixture()
        run.history = ReportedRuns.history(updates: 12_000)
        let short = try ReportedRuns.report(ReportedRuns.mixture()).html.utf8.count
        let long = ReportedRuns.report(run).html.utf8.count
        #expect(long < 4 * short && long < 500_000, "\(short), \(long)")
        #expect(try page(ReportedRuns.report(run)).all("path", "line").allSatisfy { $0.points.count <= 150 })
    }
}
