import TensorCore

extension NaiveKernels {
    /// Attention over packed sentences, head by head. `factor(sentence, head, query, key)` is what a softmax weight is
    /// multiplied by: dropout. q [Tq, h · dh], k and v [Tk, h · dh].
    public struct Attention {
        public let heads: Int
        public let causal: Bool
        public let queries: Segments
        public let keys: Segments
        public let factor: (Int, Int, Int, Int) -> Double

        public init(
            heads: Int, causal: Bool, queries: Segments, keys: Segments,
            factor: @escaping (Int, Int, Int, Int) -> Double = { _, _, _, _ in 1 }
        ) {
            self.heads = heads
            self.causal = causal
            self.queries = queries
            self.keys = keys
            self.factor = factor
        }

        public func forward(q: Matrix, k: Matrix, v: Matrix) -> Matrix {
            var output = Matrix(rows: q.rows, columns: q.columns)
            forEachHead(q, k, v) { s, head, rows, _, columns, q, k, v in
                output.setPart(
                    weights(probabilities(q, k), s, head) * v, row: rows.lowerBound, column: columns.lowerBound)
            }
            return output
        }

        public func backward(
            doutput: Matrix, q: Matrix, k: Matrix, v: Matrix
        ) -> (dq: Matrix, dk: Matrix, dv: Matrix) {
            var dq = Matrix(rows: q.rows, columns: q.columns)
            var dk = Matrix(rows: k.rows, columns: k.columns), dv = dk
            forEachHead(q, k, v) { s, head, rows, keyRows, columns, q, k, v in
                let g = doutput.part(rows, columns), p = probabilities(q, k)
                let dw = g * v.transposed
                var ds = p
                for i in 0..<p.rows {
                    let dp = (0..<p.columns).map { dw[i, $0] * factor(s, head, i, $0) }
                    let mean = (0..<p.columns).reduce(0) { $0 + p[i, $1] * dp[$1] }
                    for j in 0..<p.columns { ds[i, j] = p[i, j] * (dp[j] - mean) / Double(q.columns).squareRoot() }
                }
                dv.setPart(weights(p, s, head).transposed * g, row: keyRows.lowerBound, column: columns.lowerBound)
                dq.setPart(ds * k, row: rows.lowerBound, column: columns.lowerBound)
                dk.setPart(ds.transposed * q, row: keyRows.lowerBound, column: columns.lowerBound)
            }
            return (dq, dk, dv)
        }

        private func forEachHead(
            _ q: Matrix, _ k: Matrix, _ v: Matrix,
            _ body: (Int, Int, Range<Int>, Range<Int>, Range<Int>, Matrix, Matrix, Matrix) -> Void
        ) {
            let dim = q.columns / heads
            for s in 0..<queries.count {
                for head in 0..<heads {
                    let columns = head * dim..<(head + 1) * dim, (rows, keyRows) = (queries.range(s), keys.range(s))
                    body(
                        s, head, rows, keyRows, columns,
                        q.part(rows, columns), k.part(keyRows, columns), v.part(keyRows, columns))
                }
            }
        }

        private func probabilities(_ q: Matrix, _ k: Matrix) -> Matrix {
            var p = q * k.transposed
            for i in 0..<p.rows {
                let visible = causal ? i + 1 : p.columns
                let row = softmax((0..<visible).map { p[i, $0] / Double(q.columns).squareRoot() })
                for j in 0..<p.columns { p[i, j] = j < visible ? row[j] : 0 }
            }
            return p
        }

        private func weights(_ p: Matrix, _ sentence: Int, _ head: Int) -> Matrix {
            var w = p
            for i in 0..<p.rows { for j in 0..<p.columns { w[i, j] *= factor(sentence, head, i, j) } }
            return w
        }
    }
}
