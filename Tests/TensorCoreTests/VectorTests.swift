import Foundation
@testable import TensorCore
import Testing

@Suite struct VectorTests {
    @Test func rootIsAccurateOverItsRange() {
        var worst = 0.0, x: Float = .leastNormalMagnitude
        while x < 1e38 {
            let lanes = Vector((0..<16).map { x * (1 + Float($0) * 0.013) }), root = lanes.root
            for lane in 0..<16 { worst = max(worst, abs(Double(root[lane]) / Double(lanes[lane]).squareRoot() - 1)) }
            x *= 1.0937
        }
        #expect(worst < 2e-7)
        #expect(Vector(repeating: 0).root == .zero)
        #expect(abs(Vector(repeating: .leastNonzeroMagnitude).root[0]) < 1e-18)
        #expect(Vector(repeating: .nan).root[0].isNaN)
    }

    @Test func reductionsSeeEveryLane() {
        for lane in 0..<16 {
            var vector = Vector(repeating: -2)
            vector[lane] = -1
            #expect(vector.largest == -1)
            #expect(vector.total == -31)
        }
    }

    @Test func partsOfAVectorLeaveTheRestAlone() {
        var memory = (0..<20).map(Float.init)
        for count in 0...16 {
            memory.withUnsafeMutableBufferPointer { memory in
                let vector = (memory.baseAddress! + 2).first(count)
                for lane in 0..<16 { #expect(vector[lane] == (lane < count ? Float(lane + 2) : 0)) }
                (memory.baseAddress! + 2).storeFirst(count, of: vector)
            }
            #expect(memory == (0..<20).map(Float.init))
        }
    }
}
