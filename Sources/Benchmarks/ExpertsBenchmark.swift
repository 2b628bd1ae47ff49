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

    public init(dim: Int, ffn: Int, experts: Int, threads: Int, repetitions: Int) {
        self.dim = dim
        self.ffn = ffn
        self.experts = experts
        self.threads = threads
        self.repetitions = repetitions
    }

    public struct Figures: Encodable {
        let rowsPerExpert: Int
        let skew: String
        let gflops: Double
        let overGemm: Double

        enum CodingKeys: String, CodingKey {
            case skew, gflops
            case rowsPerExpert = "rows_per_expert"
            case overGemm = "over_gemm"
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
        let store = ParameterStore()
        let group = GroupedExperts(
            (0..<experts).map { FeedForwardExpert(name: "bench.experts.\($0)", dim: dim, ffnDim: ffn, store: store) }, dim: dim)
        store.materialize(context, seed: 1)
        var figures: [Figures] = []
        for rowsPerExpert in [16, 32, 64, 128, 256, 512, 1024, 4096] {
            let total = rowsPerExpert * experts
            let x = context.zeros(total, dim), dy = context.zeros(total, dim)
            for tensor in [x, dy] { for i in 0..<tensor.count { tensor.pointer[i] = Float(i % 17) * 0.01 - 0.08 } }
            let gemm = gemmSeconds(context, rows: total)
            for skew in Skew.allCases {
                let rows = skew.rows(experts, total: total)
                let seconds = Stopwatch.median(repetitions: repetitions) {
                    let activations = group.forward(context, rows: x, expertRows: rows)
                    _ = group.backward(context, doutputs: dy, rows: x, hidden: activations.hidden, expertRows: rows)
                }
                figures.append(
                    Figures(
                        rowsPerExpert: rowsPerExpert, skew: skew.rawValue,
                        gflops: 12 * Double(total * dim * ffn) / seconds / 1e9,
                        overGemm: gemm / seconds))
            }
        }
        return figures
    }

    public static func text(_ figures: [Figures]) -> String {
        Table(
            header: ["rows an expert", "skew", "GFLOP/s", "over gemm"],
            rows: figures.map {
                [String($0.rowsPerExpert), $0.skew, NumberText.decimal($0.gflops, 0), NumberText.decimal($0.overGemm, 2)]
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
