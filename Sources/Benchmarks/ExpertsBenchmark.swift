import Autograd
import MixtureOfExperts
import Reporting
import TensorCore

/// Grouped experts, forward and backward, against plain matrix products of as many operations.
public struct ExpertsBenchmark {
    let dim: Int
    let ffn: Int
    let experts: Int
    let threads: Int
    /// Repetitions, of which the median counts.
    let repetitions: Int
    /// Widths of experts that are measured in turn with the equal ones; nil: none are.
    let widths: [Int]?

    /// `ratios`, one an expert, are those of the widths of unequal experts, which are as wide together as the equal ones; nil: none.
    public init(dim: Int, ffn: Int, experts: Int, threads: Int, repetitions: Int, ratios: [Int]? = nil) {
        self.dim = dim
        self.ffn = ffn
        self.experts = experts
        self.threads = threads
        self.repetitions = repetitions
        widths = ratios.map { ratios in ratios.map { max(1, ffn * experts * $0 / max(ratios.reduce(0, +), 1)) } }
    }

    public struct Figures: Encodable {
        let rowsPerExpert: Int
        let skew: String
        let gflops: Double
        let overGemm: Double
        /// The speed of experts of unequal widths, operations a second, over that of equal ones; nil where there are none.
        let unequalOverEqual: Double?

        enum CodingKeys: String, CodingKey {
            case skew, gflops
            case rowsPerExpert = "rows_per_expert"
            case overGemm = "over_gemm"
            case unequalOverEqual = "unequal_over_equal"
        }
    }

    private enum Skew: String, CaseIterable {
        case uniform, zipf
        case oneHot = "one hot"
        case halfEmpty = "half empty"

        /// Rows of each expert, `total` together.
        func rows(_ experts: Int, total: Int) -> [Int] {
            let weights: [Double] = (0..<experts).map { expert in
                switch self {
                case .uniform: 1
                case .zipf: 1 / Double(expert + 1)
                case .oneHot: expert == 0 ? 1 : 0
                case .halfEmpty: expert % 2 == 0 ? 1 : 0
                }
            }
            let sum = weights.reduce(0, +)
            var rows = weights.map { Int($0 / sum * Double(total)) }
            rows[0] += total - rows.reduce(0, +)
            return rows
        }
    }

    /// Figures by rows of an expert and how they are spread.
    public func measure() -> [Figures] {
        let context = ComputeContext(threads: threads)
        let group = group([Int](repeating: ffn, count: experts), context), unequal = widths.map { self.group($0, context) }
        var figures: [Figures] = []
        for rowsPerExpert in [16, 32, 64, 128, 256, 512, 1024, 4096] {
            let total = rowsPerExpert * experts
            let x = context.zeros(total, dim), dy = context.zeros(total, dim)
            for tensor in [x, dy] { for i in 0..<tensor.count { tensor.pointer[i] = Float(i % 17) * 0.01 - 0.08 } }
            let gemm = gemmSeconds(context, rows: total)
            for skew in Skew.allCases {
                let rows = skew.rows(experts, total: total)
                func pass(_ group: GroupedExperts) {
                    let activations = group.forward(context, rows: x, expertRows: rows)
                    _ = group.backward(context, doutputs: dy, rows: x, hidden: activations.hidden, expertRows: rows)
                }
                var times: [Double] = [], unequalTimes: [Double] = []
                for _ in 0...repetitions {
                    times.append(Stopwatch.seconds { pass(group) })
                    if let unequal { unequalTimes.append(Stopwatch.seconds { pass(unequal) }) }
                }
                let seconds = Stopwatch.median(Array(times.dropFirst()))
                let work = widths.map { widths in zip(widths, rows).reduce(0) { $0 + $1.0 * $1.1 } }
                let ratio = work.map {
                    Double($0) / Double(total * ffn) * seconds / Stopwatch.median(Array(unequalTimes.dropFirst()))
                }
                figures.append(
                    Figures(
                        rowsPerExpert: rowsPerExpert, skew: skew.rawValue,
                        gflops: 12 * Double(total * dim * ffn) / seconds / 1e9,
                        overGemm: gemm / seconds, unequalOverEqual: ratio))
            }
        }
        return figures
    }

    private func group(_ widths: [Int], _ context: ComputeContext) -> GroupedExperts {
        let store = ParameterStore()
        let experts = widths.enumerated().map { index, width in
            FeedForwardExpert(name: "bench.experts.\(index)", dim: dim, ffnDim: width, store: store)
        }
        store.materialize(context, seed: 1)
        return GroupedExperts(experts, dim: dim)
    }

    public static func text(_ figures: [Figures]) -> String {
        let isCompared = figures.contains { $0.unequalOverEqual != nil }
        return Table(
            header: ["rows an expert", "skew", "GFLOP/s", "over gemm"] + (isCompared ? ["unequal over equal"] : []),
            rows: figures.map { figure in
                [
                    String(figure.rowsPerExpert), figure.skew, NumberText.decimal(figure.gflops, 0),
                    NumberText.decimal(figure.overGemm, 2),
                ] + (figure.unequalOverEqual.map { [NumberText.decimal($0, 2)] } ?? [])
            }
        ).text
    }

    private func gemmSeconds(_ context: ComputeContext, rows: Int) -> Double {
        let x = context.zeros(rows, dim), w = context.zeros(ffn, dim), y = context.zeros(rows, ffn)
        return Stopwatch.median(repetitions: repetitions) {
            for _ in 0..<2 {
                MatrixProduct.forward(context, x: x, w: w, into: y)
                MatrixProduct.backwardInput(context, dy: y, w: w, into: x)
                MatrixProduct.backwardWeight(context, dy: y, x: x, into: w)
            }
        }
    }
}
