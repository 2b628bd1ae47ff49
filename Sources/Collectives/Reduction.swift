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

    /// Combines buffers of `count` elements, in their order, into `result`, which may be one of them. The first may be
    /// overwritten.
    package func combine(_ buffers: [UnsafeMutableRawPointer], count: Int, into result: UnsafeMutableRawPointer) {
        let stride = element.stride, blockCount = Self.blockBytes / stride
        for begin in Swift.stride(from: 0, to: count, by: blockCount) {
            let block = begin..<min(begin + blockCount, count)
            combine(buffers, range: block)
            if result != buffers[0] {
                (result + begin * stride).copyMemory(from: buffers[0] + begin * stride, byteCount: block.count * stride)
            }
        }
    }

    /// Combines elements `range` of all buffers, in the buffers' order, and leaves the result in the first.
    func combine(_ buffers: [UnsafeMutableRawPointer], range: Range<Int>) {
        switch element {
        case .float32: combine(buffers, range, Float.self)
        case .float64: combine(buffers, range, Double.self)
        case .int32: combine(buffers, range, Int32.self)
        case .int64: combine(buffers, range, Int64.self)
        case .uint8: combine(buffers, range, UInt8.self)
        }
    }

    @inline(__always)
    private func combine<T: Reducible>(_ buffers: [UnsafeMutableRawPointer], _ range: Range<Int>, _ type: T.Type) {
        switch operation {
        case .sum: combine(buffers, range) { (a: T, b: T) in T.plus(a, b) }
        case .maximum: combine(buffers, range) { (a: T, b: T) in T.larger(a, b) }
        case .minimum: combine(buffers, range) { (a: T, b: T) in T.smaller(a, b) }
        }
    }

    @inline(__always)
    private func combine<T>(_ buffers: [UnsafeMutableRawPointer], _ range: Range<Int>, _ reduce: (T, T) -> T) {
        let accumulator = buffers[0].assumingMemoryBound(to: T.self) + range.lowerBound
        let count = range.count
        for buffer in buffers.dropFirst() {
            let contribution = UnsafePointer(buffer.assumingMemoryBound(to: T.self) + range.lowerBound)
            for i in 0..<count { accumulator[i] = reduce(accumulator[i], contribution[i]) }
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
