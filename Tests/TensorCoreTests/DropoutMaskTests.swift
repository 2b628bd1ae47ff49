@testable import TensorCore
import Testing

@Suite struct DropoutMaskTests {
    @Test(arguments: [Float(0), 0.1, 0.3, 0.5, 0.9, 0.999999])
    func dropsAtItsRateAndKeepsTheMean(probability: Float) {
        let mask = DropoutMask(probability: probability, key: RandomKey(seed: 1))
        var dropped = 0
        let (rows, columns) = (1000, 250)
        for row in 0..<rows {
            for c in 0..<columns {
                let factor = mask.factor(row: row, column: c, columns: columns)
                #expect(factor == 0 || factor == mask.scale)
                if factor == 0 { dropped += 1 }
            }
        }
        let rate = Double(dropped) / Double(rows * columns)
        #expect(abs(rate - Double(probability)) < 0.005)
        #expect(mask.scale.isFinite && mask.dropsNothing == (probability == 0))
        if probability < 0.99 { #expect(abs(mask.scale * (1 - probability) - 1) < 1e-4) }
    }

    @Test func scalarAndVectorFactorsAreTheSame() {
        let mask = DropoutMask(probability: 0.4, key: RandomKey(seed: 5))
        for columns in [32, 33, 64, 250] {
            for row in 0..<20 {
                for block in 0..<columns / 32 {
                    let (low, high) = mask.factors(row: row, column: 32 * block, columns: columns)
                    for lane in 0..<16 {
                        #expect(low[lane] == mask.factor(row: row, column: 32 * block + lane, columns: columns))
                        #expect(high[lane] == mask.factor(row: row, column: 32 * block + 16 + lane, columns: columns))
                    }
                }
            }
        }
    }

    /// Of independent elements dropped with probability 1/2, neighbours agree half the time, at any distance that a vector,
    /// a block or a row makes special.
    @Test(arguments: [1, 2, 8, 15, 16, 17, 31, 32, 64, 128, 256])
    func neighboursAreIndependent(distance: Int) {
        let mask = DropoutMask(probability: 0.5, key: RandomKey(seed: 7)), count = 40_000, columns = 64
        func isDropped(_ i: Int) -> Bool { mask.factor(row: i / columns, column: i % columns, columns: columns) == 0 }
        let equal = (0..<count).filter { isDropped($0) == isDropped($0 + distance) }.count
        #expect(abs(Double(equal) / Double(count) - 0.5) < 0.015)
    }

    @Test func theKeyAloneDecides() {
        func drops(_ key: RandomKey) -> [Bool] {
            let mask = DropoutMask(probability: 0.5, key: key)
            return (0..<4096).map { mask.factor(row: $0 / 64, column: $0 % 64, columns: 64) == 0 }
        }
        let key = RandomKey(seed: 3)
        #expect(drops(key.derived(1)) == drops(RandomKey(seed: 3).derived(1)))
        let agreeing = zip(drops(key.derived(1)), drops(key.derived(2))).filter { $0 == $1 }.count
        #expect(abs(agreeing - 2048) < 160)
    }
}
