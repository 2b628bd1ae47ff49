/// The arithmetic of reductions. Integers wrap around; of a maximum or minimum with NaNs nothing is promised.
private protocol Reducible {
    static func plus(_ a: Self, _ b: Self) -> Self
    static func larger(_ a: Self, _ b: Self) -> Self
    static func smaller(_ a: Self, _ b: Self) -> Self
}

extension Reducible where Self: Comparable {
    @inline(__always) static func larger(_ a: Self, _ b: Self) -> Self { a > b ? a : b }
    @inline(__always) static func smaller(_ a: Self, _ b: Self) -> Self { a < b ? a : b }
}

extension Reducible where Self: FloatingPoint {
    @inline(__always) static func plus(_ a: Self, _ b: Self) -> Self { a + b }
}

extension Reducible where Self: FixedWidthInteger {
    @inline(__always) static func plus(_ a: Self, _ b: Self) -> Self { a &+ b }
}

extension Float: Reducible {}
extension Double: Reducible {}
extension Int32: Reducible {}
extension Int64: Reducible {}
extension UInt8: Reducible {}

/// An element-wise reduction of equally long buffers.
package struct Reduction: Sendable {
    let operation: ReductionOperation
    package let element: ElementType
    /// Bytes of a buffer that are combined and copied in one go: those of all ranks stay in a core's cache.
    static let blockBytes = 8 << 10

    package init(operation: ReductionOperation, element: ElementType) {
        self.operation = operation
        self.element = element
    }

    /// Combines buffers of `count` elements into `result`, which may be one of them. All may be overwritten.
    package func combine(
        _ buffers: [UnsafeMutableRawPointer], _ order: ReductionOrder, count: Int, into result: UnsafeMutableRawPointer
    ) {
        let stride = element.stride, blockCount = Self.blockBytes / stride, combined = buffers[order.result]
        for begin in Swift.stride(from: 0, to: count, by: blockCount) {
            let block = begin..<min(begin + blockCount, count)
            combine(buffers, order.steps, range: block)
            if result != combined {
                (result + begin * stride).copyMemory(from: combined + begin * stride, byteCount: block.count * stride)
            }
        }
    }

    /// Combines elements `range` of buffers, step after step.
    package func combine(_ buffers: [UnsafeMutableRawPointer], _ steps: [ReductionOrder.Step], range: Range<Int>) {
        switch element {
        case .float32: combine(buffers, steps, range, Float.self)
        case .float64: combine(buffers, steps, range, Double.self)
        case .int32: combine(buffers, steps, range, Int32.self)
        case .int64: combine(buffers, steps, range, Int64.self)
        case .uint8: combine(buffers, steps, range, UInt8.self)
        }
    }

    @inline(__always)
    private func combine<T: Reducible>(
        _ buffers: [UnsafeMutableRawPointer], _ steps: [ReductionOrder.Step], _ range: Range<Int>, _ type: T.Type
    ) {
        switch operation {
        case .sum: combine(buffers, steps, range) { (a: T, b: T) in T.plus(a, b) }
        case .maximum: combine(buffers, steps, range) { (a: T, b: T) in T.larger(a, b) }
        case .minimum: combine(buffers, steps, range) { (a: T, b: T) in T.smaller(a, b) }
        }
    }

    @inline(__always)
    private func combine<T>(
        _ buffers: [UnsafeMutableRawPointer], _ steps: [ReductionOrder.Step], _ range: Range<Int>, _ reduce: (T, T) -> T
    ) {
        let count = range.count
        for step in steps {
            let target = buffers[step.target].assumingMemoryBound(to: T.self) + range.lowerBound
            let other = UnsafePointer(buffers[step.other].assumingMemoryBound(to: T.self) + range.lowerBound)
            for i in 0..<count { target[i] = reduce(target[i], other[i]) }
        }
    }
}

extension ElementType {
    /// Bytes of one element.
    package var stride: Int {
        switch self {
        case .float32, .int32: 4
        case .float64, .int64: 8
        case .uint8: 1
        }
    }
}
