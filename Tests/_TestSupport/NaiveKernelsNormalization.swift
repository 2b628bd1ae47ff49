import Foundation

extension NaiveKernels {
    /// Layer normalisation of each row of x [T, d] with gain and bias [1, d].
    public static func layerNorm(_ x: Matrix, gain: Matrix, bias: Matrix, epsilon: Double) -> Matrix {
        var y = x
        for row in 0..<x.rows {
            let (mean, deviation) = moments(x, row, epsilon)
            for c in 0..<x.columns { y[row, c] = (x[row, c] - mean) / deviation * gain[0, c] + bias[0, c] }
        }
        return y
    }

    /// Through the Jacobian of the normalisation, written out: ∂n_i/∂x_j = (δ_ij − 1/d − n_i n_j / d) / deviation.
    public static func layerNormBackward(
        dy: Matrix, x: Matrix, gain: Matrix, epsilon: Double
    ) -> (dx: Matrix, dgain: Matrix, dbias: Matrix) {
        let d = x.columns
        var dx = Matrix(rows: x.rows, columns: d), dgain = Matrix(rows: 1, columns: d)
        for row in 0..<x.rows {
            let (mean, deviation) = moments(x, row, epsilon)
            let n = (0..<d).map { (x[row, $0] - mean) / deviation }
            for i in 0..<d {
                dgain[0, i] += dy[row, i] * n[i]
                for j in 0..<d {
                    let jacobian = ((i == j ? 1 : 0) - 1 / Double(d) - n[i] * n[j] / Double(d)) / deviation
                    dx[row, j] += dy[row, i] * gain[0, i] * jacobian
                }
            }
        }
        return (dx, dgain, dy.columnSums)
    }

    private static func moments(_ x: Matrix, _ row: Int, _ epsilon: Double) -> (mean: Double, deviation: Double) {
        let d = Double(x.columns)
        let mean = (0..<x.columns).reduce(0) { $0 + x[row, $1] } / d
        let variance = (0..<x.columns).reduce(0) { $0 + (x[row, $1] - mean) * (x[row, $1] - mean) } / d
        return (mean, (variance + epsilon).squareRoot())
    }

    public static func softmax(_ x: [Double]) -> [Double] {
        guard let maximum = x.max() else { return [] }
        let e = x.map { exp($0 - maximum) }
        let sum = e.reduce(0, +)
        return e.map { $0 / sum }
    }

    /// Label-smoothed cross-entropy summed over the rows of `logits` [T, V], the plain one, and the smoothed one's gradient.
    public static func crossEntropy(
        logits: Matrix, targets: [Int32], smoothing: Double
    ) -> (smoothed: Double, likelihood: Double, gradient: Matrix) {
        var smoothed = 0.0, likelihood = 0.0, gradient = logits
        let v = logits.columns
        for row in 0..<logits.rows {
            let p = softmax((0..<v).map { logits[row, $0] })
            for word in 0..<v {
                let share = (word == Int(targets[row]) ? 1 - smoothing : 0) + smoothing / Double(v)
                smoothed -= share * log(p[word])
                gradient[row, word] = p[word] - share
            }
            likelihood -= log(p[Int(targets[row])])
        }
        return (smoothed, likelihood, gradient)
    }
}
