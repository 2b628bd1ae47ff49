import Files
import Foundation
import Reporting

/// The paper's tables beside what the configurations give.
///
/// Of operations the paper counts more than products with parameters, and does not say what. So they are compared by what a
/// model adds to the dense one: the paper's dense figure plus the difference of this project's counts.
public struct PaperReport {
    struct Row: Encodable {
        let corpus: String
        let model: String
        let parameters: Int
        /// The paper's parameters, in millions, as all of its figures.
        let paperParameters: Double
        /// The paper's dense figure plus what the model adds to the dense one.
        let flopsPerToken: Double
        let paperFlopsPerToken: Double
        /// This project's own count, see `ModelPlan.flopsPerToken`.
        let productFlopsPerToken: Double

        /// The deviation in percent of the paper's figure.
        var parametersDeviation: Double { 100 * (Double(parameters) / 1e6 / paperParameters - 1) }
        var flopsDeviation: Double { 100 * (flopsPerToken / 1e6 / paperFlopsPerToken - 1) }

        enum CodingKeys: String, CodingKey {
            case corpus, model, parameters
            case paperParameters = "paper_parameters_millions"
            case flopsPerToken = "flops_per_token"
            case paperFlopsPerToken = "paper_flops_per_token_millions"
            case productFlopsPerToken = "product_flops_per_token"
        }
    }

    let rows: [Row]

    public init() throws {
        rows = try PaperModel.corpora.flatMap { corpus in
            let plans = try corpus.models.map { try ModelPlan($0.configuration, vocabulary: PaperModel.vocabulary) }
            return zip(corpus.models, plans).map { model, plan in
                Row(
                    corpus: corpus.name, model: model.name, parameters: plan.parameters, paperParameters: model.parameters,
                    flopsPerToken: corpus.models[0].flops * 1e6 + plan.flopsPerToken - plans[0].flopsPerToken,
                    paperFlopsPerToken: model.flops, productFlopsPerToken: plan.flopsPerToken)
            }
        }
    }

    public func json() throws -> String {
        try JSONText.pretty(["models": rows])
    }

    public var text: String {
        func millions(_ value: Double) -> String { NumberText.decimal(value / 1e6, 1) }
        func percent(_ value: Double) -> String { (value < 0 ? "-" : "+") + NumberText.decimal(abs(value), 1) + "%" }
        let tables = PaperModel.corpora.map { corpus in
            Table(
                header: [corpus.name, "params (M)", "paper", "", "FLOPs/token (M)", "paper", "", "products (M)"],
                rows: rows.filter { $0.corpus == corpus.name }.map { row in
                    [
                        row.model, millions(Double(row.parameters)), NumberText.decimal(row.paperParameters, 0),
                        percent(row.parametersDeviation), millions(row.flopsPerToken),
                        NumberText.decimal(row.paperFlopsPerToken, 0), percent(row.flopsDeviation),
                        millions(row.productFlopsPerToken),
                    ]
                }
            ).text
        }
        return tables.joined(separator: "\n") + """

            FLOPs/token: the paper's dense figure, plus what the model adds to the dense one. products: two for each multiply-add of
            a source and a target token with the matrices of parameters, without attention between tokens.

            """
    }
}
