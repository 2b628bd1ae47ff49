/// Rows gathered, scattered and mixed by index: how tokens go to experts and come back.
public enum RowKernels {
    /// out[i] ← x[indices[i]].
    public static func gather(_ context: ComputeContext, _ x: Tensor, _ indices: [Int32], into out: Tensor) {
        gather(context, x, indices[...], into: out)
    }

    /// The same by some of many indices, the first of them for the first row.
    public static func gather(_ context: ComputeContext, _ x: Tensor, _ indices: ArraySlice<Int32>, into out: Tensor) {
        precondition(out.rows == indices.count && out.columns == x.columns)
        let (xp, op, d) = (UnsafePointer(x.pointer), out.pointer, x.columns)
        indices.withUnsafeBufferPointer { indices in
            context.pool.parallelRanges(indices.count, grain: 128) { rows in
                for row in rows { (op + row * d).update(from: xp + Int(indices[row]) * d, count: d) }
            }
        }
    }

    /// out[i] ← x[rows[i].first], or where there is a second, the sum of both. Rows of `others` are counted behind those of x.
    public static func gatherSums(
        _ context: ComputeContext, _ x: Tensor, _ others: Tensor? = nil, _ rows: ArraySlice<RowSum>, into out: Tensor
    ) {
        precondition(out.rows == rows.count && out.columns == x.columns && others?.columns ?? x.columns == x.columns)
        let (xp, op, d, count) = (UnsafePointer(x.pointer), out.pointer, x.columns, x.rows)
        let otherRows = others.map { UnsafePointer($0.pointer) }
        func second(_ row: Int) -> UnsafePointer<Float> { row < count ? xp + row * d : otherRows! + (row - count) * d }
        rows.withUnsafeBufferPointer { rows in
            context.pool.parallelRanges(rows.count, grain: 128) { range in
                for row in range {
                    (op + row * d).update(from: xp + Int(rows[row].first) * d, count: d)
                    if rows[row].second >= 0 { add(second(Int(rows[row].second)), to: op + row * d, d) }
                }
            }
        }
    }

    /// A row, or the sum of two.
    public struct RowSum: Sendable {
        public let first: Int32
        /// −1: none.
        public let second: Int32

        public init(first: Int32, second: Int32 = -1) {
            self.first = first
            self.second = second
        }
    }

    /// x[indices[i]] += rows[i]; no index occurs twice.
    public static func scatterAdd(_ context: ComputeContext, _ rows: Tensor, _ indices: [Int32], to x: Tensor) {
        precondition(rows.rows == indices.count && rows.columns == x.columns)
        let (rp, xp, d) = (UnsafePointer(rows.pointer), x.pointer, x.columns)
        indices.withUnsafeBufferPointer { indices in
            context.pool.parallelRanges(indices.count, grain: 128) { range in
                for row in range { add(rp + row * d, to: xp + Int(indices[row]) * d, d) }
            }
        }
    }

    /// out[t] ← Σ of rows[slots[c]] over the choices c of t, offsets[t] ..< offsets[t + 1]; those with slot −1 count nothing.
    public static func sumChoices(
        _ context: ComputeContext, _ rows: Tensor, slots: [Int32], offsets: [Int32], into out: Tensor
    ) {
        precondition(offsets.count == out.rows + 1 && slots.count == Int(offsets[out.rows]) && rows.columns == out.columns)
        let (rp, op, d) = (UnsafePointer(rows.pointer), out.pointer, out.columns)
        slots.withUnsafeBufferPointer { slots in
            offsets.withUnsafeBufferPointer { offsets in
                context.pool.parallelRanges(out.rows, grain: 128) { tokens in
                    for t in tokens {
                        var filled = false
                        for choice in Int(offsets[t])..<Int(offsets[t + 1]) {
                            let slot = Int(slots[choice])
                            if slot < 0 { continue }
                            if filled {
                                add(rp + slot * d, to: op + t * d, d)
                            } else {
                                (op + t * d).update(from: rp + slot * d, count: d)
                                filled = true
                            }
                        }
                        if !filled { (op + t * d).update(repeating: 0, count: d) }
                    }
                }
            }
        }
    }

    /// How the outputs of tokens' experts are weighted: choice c has the output in row slots[c] (−1: none) and the factor
    /// weights[c]; those of token t are offsets[t] ..< offsets[t + 1]. Dropout draws by (token, expert, column), whatever place the
    /// choice has in the list.
    public struct WeightedSum {
        public let slots: [Int32]
        public let weights: [Float]
        /// Where choices begin, [tokens + 1].
        public let offsets: [Int32]
        /// Rows of the tokens in the matrix that the sum is added to.
        public let tokens: [Int32]
        public let mask: DropoutMask
        /// The row that dropout draws by, for each choice: tokens[t] · experts + expert.
        let drawRows: [Int32]

        /// `experts` holds each choice's expert, a number below `expertCount`.
        public init(
            slots: [Int32], weights: [Float], offsets: [Int32], tokens: [Int32], experts: [Int32], expertCount: Int,
            mask: DropoutMask
        ) {
            precondition(offsets.count == tokens.count + 1 && slots.count == Int(offsets[tokens.count]))
            precondition(weights.count == slots.count && experts.count == slots.count)
            self.slots = slots
            self.weights = weights
            self.offsets = offsets
            self.tokens = tokens
            self.mask = mask
            var rows = experts
            for (token, row) in tokens.enumerated() {
                for choice in Int(offsets[token])..<Int(offsets[token + 1]) { rows[choice] &+= row &* Int32(expertCount) }
            }
            drawRows = rows
        }
    }

    /// x[tokens[t]] += Σ over choices of weight · dropout(outputs[slot]).
    public static func addWeightedSum(_ context: ComputeContext, _ sum: WeightedSum, outputs: Tensor, to x: Tensor) {
        let (xp, op, d, mask) = (x.pointer, UnsafePointer(outputs.pointer), x.columns, sum.mask)
        forEachChoice(context, sum) { choice in
            let (target, source, weight, row) = (xp + choice.token * d, op + choice.slot * d, choice.weight, choice.drawRow)
            var column = 0
            if mask.dropsNothing {
                while column + 16 <= d {
                    target.store(
                        target.vector(at: column).addingProduct(source.vector(at: column), Vector(repeating: weight)),
                        at: column)
                    column += 16
                }
            } else {
                while column + 32 <= d {
                    let (low, high) = mask.factors(row: row, column: column, columns: d)
                    target.store(target.vector(at: column).addingProduct(source.vector(at: column), low * weight), at: column)
                    target.store(
                        target.vector(at: column + 16).addingProduct(source.vector(at: column + 16), high * weight),
                        at: column + 16)
                    column += 32
                }
            }
            while column < d {
                target[column] += weight * source[column] * mask.factor(row: row, column: column, columns: d)
                column += 1
            }
        }
    }

    /// From dx, the gradient of `addWeightedSum`'s result: each choice's dweight ← dropout(outputs[slot]) · dx[token] (0 where
    /// there is no slot), and doutputs[doutputSlots[c]] ← weight · dropout(dx[token]), but for −1. `doutputSlots` nil: as the
    /// outputs.
    public static func weightedSumBackward(
        _ context: ComputeContext, _ sum: WeightedSum, dx: Tensor, outputs: Tensor, into doutputs: Tensor,
        at doutputSlots: [Int32]? = nil
    ) -> [Float] {
        let (gp, op, dop) = (UnsafePointer(dx.pointer), UnsafePointer(outputs.pointer), doutputs.pointer)
        let (d, mask) = (dx.columns, sum.mask)
        var dweights = [Float](repeating: 0, count: sum.weights.count)
        dweights.withUnsafeMutableBufferPointer { dweights in
            let dw = dweights.baseAddress
            (doutputSlots ?? sum.slots).withUnsafeBufferPointer { doutputSlots in
                forEachChoice(context, sum) { choice in
                    let target = Int(doutputSlots[choice.index])
                    dw![choice.index] = choiceBackward(
                        gp + choice.token * d, op + choice.slot * d, into: target < 0 ? nil : dop + target * d, d,
                        weight: choice.weight, mask: mask, row: choice.drawRow)
                }
            }
        }
        return dweights
    }

    /// How rows are weighted that have travelled as they were, [rows, 4]: by weight and by the row and the key that dropout draws by.
    public static let weightColumns = 4

    /// Puts into weights[slots[c]] how choice c is weighted, whose rows go where `weigh` does it.
    public static func describe(_ sum: WeightedSum, into weights: Tensor) {
        precondition(weights.columns == weightColumns)
        let key = sum.mask.key
        for (choice, slot) in sum.slots.enumerated() where slot >= 0 {
            let row = weights.row(Int(slot))
            row[0] = sum.weights[choice]
            row[1] = Float(bitPattern: UInt32(bitPattern: sum.drawRows[choice]))
            (row[2], row[3]) = (Float(bitPattern: key.low), Float(bitPattern: key.high))
        }
    }

    /// out[i] ← weight · dropout(x[indices[i]]), to the bit what `weightedSumBackward` makes of the row: by weights[i], whose key
    /// takes the place of the mask's.
    public static func weigh(
        _ context: ComputeContext, _ x: Tensor, _ indices: ArraySlice<Int32>, weights: Tensor, mask: DropoutMask,
        into out: Tensor
    ) {
        precondition(out.rows == indices.count && weights.rows == out.rows && weights.columns == weightColumns)
        let (xp, op, d) = (UnsafePointer(x.pointer), out.pointer, x.columns)
        indices.withUnsafeBufferPointer { indices in
            context.pool.parallelRanges(indices.count, grain: 64) { range in
                for row in range {
                    let how = weights.row(row)
                    let key = RandomKey(low: how[2].bitPattern, high: how[3].bitPattern)
                    _ = choiceBackward(
                        xp + Int(indices[row]) * d, nil, into: op + row * d, d, weight: how[0],
                        mask: DropoutMask(mask, key: key), row: Int(Int32(bitPattern: how[1].bitPattern)))
                }
            }
        }
    }

    /// doutput ← weight · dropout(g), and the product of dropout(g) and the output: what of both is asked for.
    @inline(__always)
    private static func choiceBackward(
        _ g: UnsafePointer<Float>, _ output: UnsafePointer<Float>?, into doutput: UnsafeMutablePointer<Float>?, _ d: Int,
        weight: Float, mask: DropoutMask, row: Int
    ) -> Float {
        var sums = Vector.zero, column = 0
        if mask.dropsNothing {
            while column + 16 <= d {
                let gradient = g.vector(at: column)
                doutput?.store(gradient * weight, at: column)
                if let output { sums = sums.addingProduct(gradient, output.vector(at: column)) }
                column += 16
            }
        } else {
            while column + 32 <= d {
                let (low, high) = mask.factors(row: row, column: column, columns: d)
                let first = g.vector(at: column) * low, second = g.vector(at: column + 16) * high
                doutput?.store(first * weight, at: column)
                doutput?.store(second * weight, at: column + 16)
                if let output {
                    sums = sums.addingProduct(first, output.vector(at: column))
                    sums = sums.addingProduct(second, output.vector(at: column + 16))
                }
                column += 32
            }
        }
        var sum = sums.total
        while column < d {
            let gradient = g[column] * mask.factor(row: row, column: column, columns: d)
            doutput?[column] = gradient * weight
            if let output { sum += gradient * output[column] }
            column += 1
        }
        return sum
    }

    /// A choice that has an output.
    private struct Choice {
        let index: Int
        let slot: Int
        let weight: Float
        /// The row of its token.
        let token: Int
        let drawRow: Int
    }

    /// Calls `body` for each choice that has an output, on all threads: those of a token on one, in their order.
    @inline(__always)
    private static func forEachChoice(_ context: ComputeContext, _ sum: WeightedSum, _ body: (Choice) -> Void) {
        sum.slots.withUnsafeBufferPointer { slots in
            sum.weights.withUnsafeBufferPointer { weights in
                sum.offsets.withUnsafeBufferPointer { offsets in
                    sum.tokens.withUnsafeBufferPointer { tokens in
                        sum.drawRows.withUnsafeBufferPointer { draws in
                            context.pool.parallelRanges(tokens.count, grain: 64) { range in
                                for t in range {
                                    for index in Int(offsets[t])..<Int(offsets[t + 1]) where slots[index] >= 0 {
                                        body(
                                            Choice(
                                                index: index, slot: Int(slots[index]), weight: weights[index],
                                                token: Int(tokens[t]), drawRow: Int(draws[index])))
                                    }
                                }
                            }
                        }
                    }
                }
            }
        }
    }

    @inline(__always)
    private static func add(_ source: UnsafePointer<Float>, to target: UnsafeMutablePointer<Float>, _ count: Int) {
        var c = 0
        while c + 16 <= count { target.store(target.vector(at: c) + source.vector(at: c), at: c); c += 16 }
        while c < count { target[c] += source[c]; c += 1 }
    }
}
